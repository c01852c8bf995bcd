// A provider with one client: node provider.mjs FOLDER. It writes its address, reads the address of the site, and writes a line when it
// runs. Any name signs in.
import http from 'node:http';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const [folder] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${folder}/`));
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));

// It ends with the test.
const input = createInterface(process.stdin).on('close', () => process.exit(0));

const server = http.createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  console.log(issuer);
  input.once('line', (site) => serve(issuer, site));
});

function serve(issuer, site) {
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'shelf',
      client_secret: 'a secret of the client',
      redirect_uris: [`${site}/signed-in`],
      post_logout_redirect_uris: [`${site}/`],
    }],
    cookies: { keys: ['a key'] },
    pkce: { required: () => true },
  });
  server.on('request', provider.callback());
  console.log('ready');
}
