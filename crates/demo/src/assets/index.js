// What is typed in a terminal names the port that this page came from.
const code = document.querySelector('.try code');
code.textContent = code.textContent.replaceAll('localhost:3000', location.host);
