// Debian's Chromium through playwright-core, without its background traffic.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { chromium } from 'playwright-core';

import { cookieTests } from './cookie_tests.mjs';
import { livePageTests } from './live_page.mjs';
import { scriptPageTests } from './script_page.mjs';
import { secureTests } from './secure_tests.mjs';

/** A fresh profile that sends cookies to other sites where they say `SameSite=None`. */
function profileWithCookies() {
  const profile = mkdtempSync(join(tmpdir(), 'fanwire-chromium-'));
  mkdirSync(join(profile, 'Default'));
  const preferences = { profile: { cookie_controls_mode: 0, block_third_party_cookies: false } };
  writeFileSync(join(profile, 'Default', 'Preferences'), JSON.stringify(preferences));
  return profile;
}

/** Opens `url`; `hosts` are names that lead to loopback. */
export async function open(executablePath, url, hosts, log) {
  const options = {
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
  };
  const browser = await chromium.launch(options);
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  let crashed;
  const gone = new Promise((resolve) => {
    browser.on('disconnected', () => resolve('the browser ended'));
    crashed = () => resolve('the page crashed');
  });
  const visit = async (url) => {
    const page = await context.newPage();
    page.on('pageerror', (error) => log(`page error: ${error.message}`));
    page.on('crash', crashed);
    await page.goto(url);
  };
  await visit(url);
  return {
    gone,
    version: `Chromium ${browser.version()}`,
    close: () => browser.close(),
    ownTests: (base, control) => livePageTests(browser, base, control),
    scriptTests: (base, control) => scriptPageTests(browser, base, control),
    /** Opens another page that reports. */
    visit,
    secureTests: (base, control) => secureTests(context, base, control),
    cookieTests: async (binary) => {
      const profile = profileWithCookies();
      const lasting = await chromium.launchPersistentContext(profile, { ...options, ignoreHTTPSErrors: true });
      const { tests, stop } = await cookieTests(lasting, binary);
      const end = async () => {
        await Promise.all([stop(), lasting.close()]);
        rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
      };
      return { tests, stop: end };
    },
  };
}
