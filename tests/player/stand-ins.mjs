// Stand-ins for what a browser has: a WebGL2 context that draws nothing, images, and packs.

/**
 * A context that counts the textures and framebuffers that are alive, and notes what is written into textures and
 * buffers. fails: the number of the texture upload that throws, from 1.
 */
export function standInGl({fails = 0} = {}) {
  const alive = new Set(), written = [];
  const created = () => {
    const part = {};
    alive.add(part);
    return part;
  };
  const own = {
    alive, written,
    createTexture: created, deleteTexture: part => alive.delete(part),
    createFramebuffer: created, deleteFramebuffer: part => alive.delete(part),
    texSubImage2D(...values) {
      written.push(values.at(-1));
      if (written.length === fails) throw new Error("no memory");
    },
    bufferData(target, values) { written.push(values); },
    checkFramebufferStatus: () => "FRAMEBUFFER_COMPLETE",
    getProgramParameter: (program, name) => (name === "LINK_STATUS" ? true : 0),
    isContextLost: () => false,
    getExtension: () => ({}),
    getParameter: () => 4096,
  };
  return new Proxy(own, {get: (target, name) => target[name] ?? (/^[A-Z\d_]+$/.test(name) ? name : () => {})});
}

/** Programs that note what they draw: {name, target, values}, in `drawn`. */
export function standInPrograms(drawn = []) {
  const program = name => ({draw: (target, values) => { drawn.push({name, target, values}); }});
  return new Proxy({}, {get: (target, name) => program(name)});
}

/** Makes `createImageBitmap` give images of a size, and returns those that are open. fails: which call throws, from 1. */
export function standInImages({width = 8, height = 4, fails = 0} = {}) {
  const open = new Set();
  let calls = 0;
  globalThis.createImageBitmap = async () => {
    if (++calls === fails) throw new Error("no image");
    const image = {width, height, close: () => open.delete(image)};
    open.add(image);
    return image;
  };
  return open;
}

const TYPES = {Uint8Array: "U8", Int16Array: "I16", Float32Array: "F32"};

/** An ArrayBuffer as output/web_pack.py writes it; tensors: {shape, data} by name. */
export function packOf(facts, tensors = {}) {
  const header = {__metadata__: {stylecine: JSON.stringify({format: 9, scales: {}, overlays: [], ...facts})}};
  let end = 0;
  for (const [name, {shape, data}] of Object.entries(tensors)) {
    header[name] = {dtype: TYPES[data.constructor.name], shape, data_offsets: [end, end += data.byteLength]};
  }
  const text = new TextEncoder().encode(JSON.stringify(header)), buffer = new Uint8Array(8 + text.length + end);
  new DataView(buffer.buffer).setBigUint64(0, BigInt(text.length), true);
  buffer.set(text, 8);
  for (const [name, {data}] of Object.entries(tensors)) {
    buffer.set(new Uint8Array(data.buffer), 8 + text.length + header[name].data_offsets[0]);
  }
  return buffer.buffer;
}

/** Facts of an overlay with two keyframes of a grid of 2 x 2 cells, and its arrays, of overlay `number`. */
export function overlayOf(kind, number, shift = 256) {
  const facts = {kind, cell: 4, grid: [2, 2], at: [0, 1], steps: [1 / 128, 1 / 1024], cycles: 1, gustiness: 0, fine: false};
  const bytes = {shape: [1], data: new Uint8Array(1)};
  const tensors = {
    background: bytes, matte: bytes,
    keyframes: {shape: [1, 3, 2, 1], data: new Int16Array([shift, shift, 0, 0, 1024, 0])},
    active: {shape: [1, 1], data: new Uint8Array([1])},
  };
  return {facts, tensors: Object.fromEntries(Object.entries(tensors).map(([name, value]) => [`overlays.${number}.${name}`, value]))};
}
