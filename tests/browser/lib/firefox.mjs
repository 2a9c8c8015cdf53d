// Debian's Firefox ESR without a driver: headless, a fresh profile, one page.

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What keeps a fresh profile from first-run pages and from traffic of its own. */
function preferences(hosts) {
  return {
    'app.normandy.enabled': false,
    'app.update.enabled': false,
    'browser.aboutwelcome.enabled': false,
    'browser.contentblocking.category': 'custom',
    'browser.newtabpage.enabled': false,
    'browser.safebrowsing.blockedURIs.enabled': false,
    'browser.safebrowsing.downloads.enabled': false,
    'browser.safebrowsing.malware.enabled': false,
    'browser.safebrowsing.phishing.enabled': false,
    'browser.search.update': false,
    'browser.shell.checkDefaultBrowser': false,
    'browser.startup.homepage_override.mstone': 'ignore',
    'browser.tabs.remote.warmup.enabled': false,
    'datareporting.healthreport.uploadEnabled': false,
    'datareporting.policy.dataSubmissionEnabled': false,
    'dom.security.https_first': false,
    'extensions.getAddons.cache.enabled': false,
    'extensions.update.enabled': false,
    'geo.enabled': false,
    'media.gmp-manager.updateEnabled': false,
    'network.captive-portal-service.enabled': false,
    'network.connectivity-service.enabled': false,
    // The names of the test's own pages lead to loopback.
    'network.dns.localDomains': hosts.join(','),
    'network.dns.disablePrefetch': true,
    'network.prefetch-next': false,
    'network.proxy.type': 0,
    'services.settings.server': 'data:,',
    'signon.autofillForms': false,
    'toolkit.telemetry.enabled': false,
    'toolkit.telemetry.reportingpolicy.firstRun': false,
    'toolkit.telemetry.server': 'data:,',
  };
}

/** Opens `url`; `hosts` are names that lead to loopback. */
export async function open(executable, url, hosts) {
  const version = execFileSync(executable, ['--version'], { encoding: 'utf8' }).trim();
  const profile = mkdtempSync(join(tmpdir(), 'fanwire-firefox-'));
  const lines = Object.entries(preferences(hosts)).map(
    ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});`,
  );
  writeFileSync(join(profile, 'user.js'), `${lines.join('\n')}\n`);
  const child = spawn(executable, ['--headless', '--no-remote', '--profile', profile, url], {
    // A group of its own, so that its content processes end with it.
    detached: true,
    stdio: 'ignore',
    env: { ...process.env, HOME: profile, MOZ_CRASHREPORTER_DISABLE: '1' },
  });
  const gone = new Promise((resolve) => {
    child.once('error', (error) => resolve(`Firefox did not start: ${error.message}`));
    child.once('exit', (code, signal) => resolve(`Firefox ended (${signal ?? `status ${code}`})`));
  });
  const kill = () => {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
  };
  process.once('exit', kill);
  const close = async () => {
    process.removeListener('exit', kill);
    kill();
    await gone;
    rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  };
  return { gone, version, close, ownTests: () => ({}) };
}
