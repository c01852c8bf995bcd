// A provider with one client: node provider.mjs FOLDER CALLBACK HOME. Any name signs in.
import http from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [folder, callback, home] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${folder}/`));
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));

// It ends with the test.
process.stdin.on('end', () => process.exit(0)).resume();

const server = http.createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'shelf',
      client_secret: 'a secret of the client',
      redirect_uris: [callback],
      post_logout_redirect_uris: [home],
    }],
    cookies: { keys: ['a key'] },
    pkce: { required: () => true },
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
