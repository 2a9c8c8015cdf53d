import { $, ask, element, line, post, state } from '/assets/common.js';
import { Chart } from '/assets/chart.js';

// ---- The stream: four kinds of events, each with an id that says how far this page has come.
// A connection that is lost is opened again by the browser, which names the last id.

const source = new EventSource('/dashboard/events');
const how = $('.state');
let heard = 0;
function live() {
  heard = performance.now();
  document.body.classList.remove('lost');
  state(how, 'live', 'live');
}
/** What is shown may no longer be true, and looks so. */
function lost(kind, words) {
  document.body.classList.add('lost');
  state(how, kind, words);
}
source.addEventListener('open', live);
source.addEventListener('error', () => {
  if (source.readyState === EventSource.CLOSED) lost('bad', 'refused');
  else lost('waiting', 'lost; the browser connects again');
});
// Figures come every second. A network that is away says nothing, not even that.
setInterval(() => {
  const silent = performance.now() - heard > 5000;
  if (silent && source.readyState === EventSource.OPEN) lost('waiting', 'nothing comes; is the network away?');
}, 1000);
const clock = (timestamp) => new Date(timestamp).toLocaleTimeString([], { hour12: false });
const hear = (name, f) => source.addEventListener(name, (event) => {
  live();
  f(JSON.parse(event.data));
});

// ---- The server's figures

const number = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const whole = (n) => number.format(Math.round(n));
const mebibytes = (bytes) => `${number.format(bytes / 2 ** 20)} MiB`;
const charts = {
  deliveries: new Chart('Deliveries', (n) => `${n < 10 ? number.format(n) : whole(n)}/s`),
  connections: new Chart('Connections', whole),
  subscribers: new Chart('Subscribers', whole),
  memory: new Chart('Memory', mebibytes),
  cpu: new Chart('CPU, of one core', (n) => `${n < 10 ? number.format(n) : whole(n)} %`),
};
$('#figures').append(...Object.values(charts).map((chart) => chart.element));
hear('metrics', (samples) => {
  for (const [name, chart] of Object.entries(charts)) {
    chart.add(samples.map((sample) => [sample.timestamp, sample[name]]));
  }
});

// ---- Jobs: each event is the whole state, so that a bar is never stale

const jobs = $('#jobs');
const words = { primes: 'Primes', collatz: 'Longest Collatz chain' };
const seconds = (ms) => (ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`);
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

/** What runs, what waits in its order, what has ended, the last first. */
const places = ['running', 'waiting'];
const place = ({ stage }) => (places.includes(stage) ? places.indexOf(stage) : places.length);

function situation(job) {
  const done = `${job.percent.toFixed(job.percent < 100 ? 1 : 0)} %`;
  const rate = `${short.format(job.rate)} numbers/s`;
  return {
    waiting: 'waits for its turn',
    running: `${done} · ${rate} · ${job.leftMs === null ? 'begins' : `${seconds(job.leftMs)} left`}`,
    done: `${job.result} · ${seconds(job.elapsedMs)} · ${rate}`,
    cancelled: `cancelled at ${done}`,
    failed: `broke down at ${done}`,
  }[job.stage];
}

/** One line of the list; `show(job)` brings it up to date. */
function row(id) {
  const title = element('strong');
  const bar = element('progress', { max: 100 });
  const about = element('p', { className: 'faint' });
  const cancel = element('button', { type: 'button', className: 'quiet small' }, 'Cancel');
  cancel.addEventListener('click', () => tell('#job', () => ask(`/dashboard/jobs/${id}/cancel`, { method: 'POST' })));
  const item = element('li', {}, title, cancel, bar, about);
  item.show = (job) => {
    item.dataset.stage = job.stage;
    title.textContent = `${job.id}. ${words[job.work]} below ${short.format(job.below)}`;
    bar.value = job.percent;
    bar.setAttribute('aria-label', `Progress of job ${job.id}`);
    about.textContent = situation(job);
    const open = job.stage === 'waiting' || job.stage === 'running';
    if (!open && document.activeElement === cancel) $('#job button').focus();
    cancel.hidden = !open;
    cancel.setAttribute('aria-label', `Cancel job ${job.id}`);
  };
  return item;
}

const rows = new Map();
hear('jobs', (all) => {
  for (const [id, item] of rows) {
    if (!all.some((job) => job.id === id)) {
      item.remove();
      rows.delete(id);
    }
  }
  const focused = document.activeElement;
  all.forEach((job, at) => { job.at = at; });
  all.sort((a, b) => place(a) - place(b) || (a.stage === 'waiting' ? a.at - b.at : b.at - a.at));
  all.forEach((job, at) => {
    if (!rows.has(job.id)) rows.set(job.id, row(job.id));
    const item = rows.get(job.id);
    if (jobs.children[at] !== item) jobs.insertBefore(item, jobs.children[at] ?? null);
    item.show(job);
  });
  // An element that is moved loses it.
  if (jobs.contains(focused) && document.activeElement !== focused) focused.focus();
});

// ---- Notifications

const notices = $('#notices');
const dismiss = $('#dismiss');
const signs = { info: 'i', success: '✓', warning: '!', error: '×' };

function close(item) {
  const next = item.nextElementSibling ?? item.previousElementSibling;
  item.remove();
  dismiss.hidden = notices.children.length === 0;
  ($('button', next ?? undefined) ?? $('#notify input')).focus();
}

hear('notification', ({ kind, text, timestamp }) => {
  const button = element('button', { type: 'button', className: 'quiet small' }, '×');
  button.setAttribute('aria-label', `Dismiss: ${text}`);
  const sign = element('span', { className: 'sign' }, signs[kind] ?? '');
  sign.setAttribute('aria-hidden', 'true');
  const said = element('p', {}, element('span', { className: 'visually-hidden' }, `${kind}: `), text);
  const item = element('li', { className: `toast ${kind}` }, sign, said, element('time', {}, clock(timestamp)), button);
  button.addEventListener('click', () => close(item));
  notices.prepend(item);
  while (notices.children.length > 20) notices.lastElementChild.remove();
  dismiss.hidden = false;
});
dismiss.addEventListener('click', () => {
  notices.replaceChildren();
  dismiss.hidden = true;
  $('#notify input').focus();
});
// What was told before this page was opened is not read out.
source.addEventListener('open', () => setTimeout(() => notices.setAttribute('aria-live', 'polite'), 1000), { once: true });

// ---- The log

const log = $('#log');
const pause = $('#pause');
let held = null;

function write({ missed, line: { timestamp, level, target, text } }) {
  if (missed > 0) line(log, `${whole(missed)} lines before these are no longer kept`, 'notice');
  const from = element('b', {}, level.toLowerCase());
  const item = line(log, element('span', {}, from, ' ', element('i', {}, target), ' ', text), level);
  $('time', item).textContent = clock(timestamp);
}

hear('log', (said) => {
  if (held === null) return write(said);
  held.push(said);
  // No more than the list would keep.
  if (held.length > 200) held[1].missed += held.shift().missed + 1;
  pause.textContent = `Go on (${held.length} new)`;
});
pause.addEventListener('click', () => {
  if (held === null) {
    held = [];
    pause.textContent = 'Go on';
  } else {
    held.forEach(write);
    held = null;
    pause.textContent = 'Pause';
  }
  pause.setAttribute('aria-pressed', String(held !== null));
});
for (const box of document.querySelectorAll('input[name=level]')) {
  const hide = () => log.classList.toggle(`no-${box.value}`, !box.checked);
  box.addEventListener('change', hide);
  hide();
}

// ---- What this page asks of the server

/** Does it, and says under the form why it was refused. */
async function tell(form, does) {
  const said = $(`${form} + .said`);
  try {
    await does();
    state(said, '', '');
    return true;
  } catch (error) {
    state(said, 'bad', error.message);
    return false;
  }
}

$('#job').addEventListener('submit', (event) => {
  event.preventDefault();
  const { work, below } = event.target;
  tell('#job', () => post('/dashboard/jobs', { work: work.value, below: Number(below.value) }));
});
$('#notify').addEventListener('submit', async (event) => {
  event.preventDefault();
  const { text, kind } = event.target;
  const sent = await tell('#notify', () => post('/dashboard/notifications', { kind: kind.value, text: text.value }));
  if (sent) text.value = '';
  text.focus();
});
