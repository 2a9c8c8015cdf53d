// A page of the server's own origin that loads the Socket.IO client as its README says: by the path
// alone, and `io()` without an address. The driver writes it over one that the server has.

import { Fanwire, freshChannel } from '../../conformance/clients/lib/fanwire.mjs';
import { Inbox } from '../../conformance/clients/lib/suite.mjs';
import { hearsAllOnce, pageCode } from '../../conformance/clients/shared/socket_io_page.mjs';

/** Opens the page; gives what it tells. */
async function open(browser, base, code, { defer }) {
  const page = await browser.newPage();
  defer(() => page.close());
  const heard = new Inbox();
  await page.exposeFunction('tell', (...told) => heard.push(told));
  await page.goto(`${base}/healthz`);
  await page.setContent(`<!doctype html><script src="/socket.io/socket.io.js"></script><script>${code}</script>`);
  return heard;
}

/** The tests; `control` is the URL of the stage's control door. */
export function scriptPageTests(browser, base, control) {
  const fanwire = new Fanwire(base, control);
  const tests = [['polling'], ['websocket'], ['polling', 'websocket']].map((transports) => [
    `a page of the server's own has it all once over cuts, by ${transports.join(' and ')}`,
    async (test) => {
      const room = freshChannel('own');
      const heard = await open(browser, base, pageCode('', room, transports), test);
      await hearsAllOnce(fanwire, room, heard);
    },
  ]);
  return Object.fromEntries(tests);
}
