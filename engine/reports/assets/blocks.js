"use strict";
// Texts, unpacked one question at a time. A block is base64 of raw deflate of JSON.

const KEPT = 64;
const unpacked = new Map();
const canUnpack = typeof DecompressionStream === "function";

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i += 1) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** The whole page has arrived: blocks stand after the scripts. */
const arrived = new Promise((done) => {
  if (document.readyState !== "loading") done();
  else document.addEventListener("DOMContentLoaded", () => done(), { once: true });
});

async function inflate(place) {
  let node = byId(`b${place}`);
  if (!node || !node.nextSibling) {
    await arrived;
    node = byId(`b${place}`);
  }
  if (!node || !canUnpack) return null;
  const stream = new Blob([bytesOf(node.textContent)]).stream()
    .pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(stream).text();
}

/** The texts of a question, or null where this file, or this browser, has none. */
async function block(place) {
  if (unpacked.has(place)) return unpacked.get(place);
  const json = await inflate(place);
  const found = json === null ? null : JSON.parse(json);
  unpacked.set(place, found);
  if (unpacked.size > KEPT) unpacked.delete(unpacked.keys().next().value);
  return found;
}

/** Every text of a question in which a needle may be. */
function* textsIn(found) {
  yield* found.t;
  yield* found.r;
  for (const answer of found.a) if (answer[4]) yield answer[4];
  for (const judgment of found.j) yield* judgment[7];
  for (const duel of found.d) yield* duel[8];
}

/** Questions with `needle` in any text; `tell` hears how many were searched, `stopped` may end it. */
async function searchTexts(needle, tell, stopped) {
  const wanted = needle.toLowerCase();
  const hits = new Set();
  for (let place = 0; place < index.questions.length && !stopped(); place += 1) {
    const json = await inflate(place);
    if (json !== null) {
      for (const text of textsIn(JSON.parse(json))) {
        if (text.toLowerCase().includes(wanted)) { hits.add(place); break; }
      }
    }
    if (place % 16 === 15) tell(place + 1);
  }
  return hits;
}
