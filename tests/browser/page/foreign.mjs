// Tries one thing from another origin and tells the page around it what came of it.

const parameters = new URLSearchParams(location.search);
const url = parameters.get('url');

const attempts = {
  webSocket: () =>
    new Promise((resolve) => {
      const socket = new WebSocket(url);
      socket.onopen = () => resolve('open');
      socket.onclose = () => resolve('refused');
    }),
  eventSource: () =>
    new Promise((resolve) => {
      const source = new EventSource(url);
      source.onmessage = ({ data }) => resolve(`heard ${data}`);
      source.onopen = () => resolve('open');
      source.onerror = () => resolve(source.readyState === EventSource.CLOSED ? 'refused' : 'retrying');
    }),
  get: () =>
    fetch(url).then(
      (response) => `answered ${response.status}`,
      () => 'refused',
    ),
  post: () =>
    fetch(url, { method: 'POST', body: 'foreign' }).then(
      (response) => `answered ${response.status}`,
      () => 'refused',
    ),
  blindPost: () =>
    fetch(url, { method: 'POST', mode: 'no-cors', body: 'foreign' }).then(
      () => 'sent',
      () => 'not sent',
    ),
};

parent.postMessage(await attempts[parameters.get('what')](), '*');
