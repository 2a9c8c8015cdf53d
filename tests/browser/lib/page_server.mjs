// Serves the page and its modules, takes its reports, and has the stage's control door.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { listen, readBody } from '../../conformance/clients/lib/world.mjs';

const browser = dirname(dirname(fileURLToPath(import.meta.url)));
const clients = join(dirname(browser), 'conformance', 'clients');
/** The folders that a page may read, by the first part of the path. */
const FOLDERS = {
  page: join(browser, 'page'),
  lib: join(clients, 'lib'),
  shared: join(clients, 'shared'),
  socketio: join(dirname(dirname(browser)), 'clients', 'socketio', 'src'),
};
const TYPES = { html: 'text/html', mjs: 'text/javascript', js: 'text/javascript' };

/**
 * Starts it; `onReport` is given each report. Gives `{ port, use(doors), close() }`: `doors` are
 * asked first, each with a `control(request, response)`.
 */
export async function startPageServer(onReport) {
  let doors = [];
  const server = createServer(async (request, response) => {
    try {
      for (const door of doors) if (await door.control(request, response)) return;
      if (request.method === 'POST' && request.url === '/report') {
        onReport(JSON.parse(await readBody(request)));
        response.writeHead(204).end();
        return;
      }
      const [, folder, file, type] = /^\/(\w+)\/(\w+\.(html|mjs|js))(?:\?|$)/.exec(request.url) ?? [];
      if (!Object.hasOwn(FOLDERS, folder ?? '')) {
        response.writeHead(404).end();
        return;
      }
      const body = await readFile(join(FOLDERS[folder], file));
      response.writeHead(200, { 'content-type': `${TYPES[type]}; charset=utf-8` }).end(body);
    } catch (error) {
      if (!response.headersSent) response.writeHead(500);
      response.end(String(error));
    }
  });
  const port = await listen(server);
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { port, use: (chosen) => (doors = chosen), close };
}
