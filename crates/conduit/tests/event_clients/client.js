// The client `eventsource`: the data, names and identities of events, and three reconnects without a gap; over HTTP/2 with TLS.
const assert = require("node:assert");
const { EventSource } = require("eventsource");
const undici = require("undici");

const COUNT = 12;

// The certificate of the test is self-signed.
const dispatcher = new undici.Agent({ allowH2: true, connect: { rejectUnauthorized: false } });

function optionsFor(url) {
  if (!url.startsWith("https:")) return {};
  return { fetch: (address, options) => undici.fetch(address, { ...options, dispatcher }) };
}

function main(url) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(url, optionsFor(url));
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

main(process.argv[2])
  .then(() => main(process.argv[3]))
  .then(() => dispatcher.destroy())
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
