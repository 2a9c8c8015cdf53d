// `/dashboard/…` with npm `eventsource`, `/ticker` with `fetch`.

import { check, equal, Inbox, within, WAIT_LIMIT } from '../lib/suite.mjs';

const post = (url, path, body) =>
  fetch(url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });

/** An EventSource whose events of these names arrive in an inbox. */
function watch(EventSource, url, { defer }, names, init) {
  const source = new EventSource(`${url}/dashboard/events`, init);
  defer(() => source.close());
  const heard = new Inbox();
  for (const name of names) {
    source.addEventListener(name, ({ data, lastEventId }) => heard.push({ data: JSON.parse(data), lastEventId }));
  }
  return { source, heard };
}

export const dashboardTests = (url, EventSource) => ({
  'dashboard: a job is watched to its end, by who comes late too': async (test) => {
    const { heard } = watch(EventSource, url, test, ['jobs']);
    await heard.next('the state before');
    const { id } = await (await post(url, '/dashboard/jobs', { work: 'primes', below: 2_000_000 })).json();
    let job;
    let percent = 0;
    do {
      job = (await heard.next('a state')).data.find((one) => one.id === id);
      check(job.percent >= percent, `${job.percent} % after ${percent} %`);
      percent = job.percent;
    } while (job.stage === 'waiting' || job.stage === 'running');
    equal([job.stage, job.result], ['done', '148933 primes, the largest is 1999993'], 'its end');
    const late = watch(EventSource, url, test, ['jobs']);
    const [state] = await late.heard.take(1, 'the state');
    equal(state.data.find((one) => one.id === id), job, 'what who comes late sees');
  },

  'dashboard: a connection that breaks is taken up behind the last event': async (test) => {
    // Each connection is broken by its own hand, as a network would.
    let breakIt;
    const { heard } = watch(EventSource, url, test, ['notification'], {
      fetch: (input, init) => {
        const broken = new AbortController();
        breakIt = () => broken.abort(new TypeError('the network is gone'));
        return fetch(input, { ...init, signal: AbortSignal.any([init.signal, broken.signal]) });
      },
    });
    const run = Math.random().toString(36).slice(2);
    const mine = async (what) => {
      let notice;
      do notice = (await heard.next(what)).data; while (!notice.text.includes(run));
      return notice.text;
    };
    await post(url, '/dashboard/notifications', { text: `${run} before` });
    equal(await mine('the first'), `${run} before`, 'before the break');
    breakIt();
    for (const n of [1, 2, 3]) await post(url, '/dashboard/notifications', { text: `${run} ${n}` });
    const said = [];
    while (said.length < 3) said.push(await within(WAIT_LIMIT, 'what was told meanwhile', mine('another')));
    equal(said, [1, 2, 3].map((n) => `${run} ${n}`), 'each once, in order');
  },

  'ticker: what is asked for behind a version is what has changed': async () => {
    let { version, quotes } = await (await fetch(`${url}/ticker`)).json();
    const prices = new Map(quotes.map(({ symbol, price }) => [symbol, price]));
    equal(prices.size, 8, 'companies');
    for (let n = 0; n < 3; n += 1) {
      const answer = await (await fetch(`${url}/ticker?since=${version}`)).json();
      check(answer.version > version, 'a later version');
      for (const { symbol, price } of answer.quotes) {
        check(prices.get(symbol) !== price, `${symbol} has changed`);
        prices.set(symbol, price);
      }
      version = answer.version;
    }
    const refused = await fetch(`${url}/ticker?since=yesterday`);
    equal([refused.status, refused.headers.get('content-type')], [400, 'application/problem+json'], 'nonsense');
  },
});
