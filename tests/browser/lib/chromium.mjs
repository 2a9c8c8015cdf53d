// Debian's Chromium through playwright-core, without its background traffic.

import { chromium } from 'playwright-core';

import { livePageTests } from './live_page.mjs';

/** Opens `url`; `hosts` are names that lead to loopback. */
export async function open(executablePath, url, hosts, log) {
  const browser = await chromium.launch({
    executablePath,
    headless: true,
    args: [
      ...(process.getuid() === 0 ? ['--no-sandbox'] : []),
      '--disable-gpu',
      '--disable-quic',
      '--disable-dev-shm-usage',
      '--disable-features=HttpsUpgrades',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-proxy-server',
      `--host-resolver-rules=${hosts.map((host) => `MAP ${host} 127.0.0.1`).join(',')}`,
    ],
  });
  const page = await browser.newPage();
  page.on('pageerror', (error) => log(`page error: ${error.message}`));
  const gone = new Promise((resolve) => {
    browser.on('disconnected', () => resolve('the browser ended'));
    page.on('crash', () => resolve('the page crashed'));
  });
  await page.goto(url);
  return {
    gone,
    version: `Chromium ${browser.version()}`,
    close: () => browser.close(),
    ownTests: (base, control) => livePageTests(browser, base, control),
  };
}
