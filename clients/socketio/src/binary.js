// Bytes: what counts as binary, and base64 for the polling transport.

/** As many arguments as every browser takes in one call. */
const CHUNK = 0x8000;

export function isBinary(value) {
  return (
    value instanceof ArrayBuffer ||
    ArrayBuffer.isView(value) ||
    (typeof Blob === 'function' && value instanceof Blob)
  );
}

/** Bytes of a packet in a payload of the polling transport. */
export function payloadSize(packet) {
  if (typeof packet === 'string') return new TextEncoder().encode(packet).length;
  const bytes = packet.byteLength === undefined ? packet.size : packet.byteLength;
  return 1 + 4 * Math.ceil(bytes / 3);
}

/** A packet as text; binary as `b` and base64. */
export async function toText(packet) {
  if (typeof packet === 'string') return packet;
  const source = packet.arrayBuffer ? await packet.arrayBuffer() : packet;
  const bytes = source.buffer
    ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
    : new Uint8Array(source);
  let text = '';
  for (let at = 0; at < bytes.length; at += CHUNK) {
    text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  }
  return `b${btoa(text)}`;
}

/** An `ArrayBuffer`; throws where `text` is no base64. */
export function fromBase64(text) {
  const bytes = atob(text);
  const buffer = new Uint8Array(bytes.length);
  for (let at = 0; at < bytes.length; at += 1) buffer[at] = bytes.charCodeAt(at);
  return buffer.buffer;
}
