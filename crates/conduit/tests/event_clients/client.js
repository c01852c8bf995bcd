// The client `eventsource`: the data, names and identities of events, and three reconnects without a gap.
const assert = require("node:assert");
const { EventSource } = require("eventsource");

const COUNT = 12;

function main(url) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(url);
    let number = 0;
    const receive = (event) => {
      try {
        number += 1;
        assert.strictEqual(event.lastEventId, `${number}`);
        if (number % 3 === 0) {
          assert.strictEqual(event.data, `line\n${number}\n\u00fc`);
        } else if (number % 3 === 1) {
          assert.strictEqual(JSON.parse(event.data), `a\nb\r\0\u2028${number}`);
        } else {
          assert.strictEqual(event.type, "even \u00fc");
          assert.strictEqual(JSON.parse(event.data), `${number}`);
        }
        if (number === COUNT) {
          source.close();
          resolve();
        }
      } catch (error) {
        source.close();
        reject(error);
      }
    };
    source.addEventListener("message", receive);
    source.addEventListener("even \u00fc", receive);
  });
}

main(process.argv[2]).catch((error) => {
  console.error(error);
  process.exit(1);
});
