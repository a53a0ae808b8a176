// A tiny loop that uses every shader program of a landscape. Browsers compile a program when it first draws, and some
// need seconds for it, so this is drawn while the page waits for a photo.

const [SIDE, MARGIN, CELL, BLOCK, BANDS, STATISTICS] = [32, 16, 8, 16, 4, 9];
const CANVAS = SIDE + 2 * MARGIN, GRID = CANVAS / CELL, BLOCKS = CANVAS / BLOCK;

/** An unpacked loop, {facts, tensors, photo}: everything moves, at zero speed. */
export async function warmupLoop() {
  const facts = {
    ...{width: SIDE, height: SIDE, margin: MARGIN, cell: CELL, block: BLOCK, grid: [GRID, GRID], bands: BANDS},
    ...{period: 16, fps: 8, stride: 1, sub_cycles: [2], ramps: [8], swell_cycles: [1], plate_digest: "", picture: "image/png"},
    overlays: [],
    scales: {velocity: 1, swell: 1, angle: 1, contrast_gain: 1, crossfade: 1},
  };
  const tensors = {
    moving: {data: new Uint8Array(SIDE * SIDE).fill(255)},
    crossfade: {data: new Uint8Array(GRID * GRID * 3)},
    velocity: {data: new Int16Array(GRID * GRID * 2)},
    swell: {data: new Int16Array(GRID * GRID * 4)},
    statistics: {shape: [STATISTICS, BLOCKS, BLOCKS], data: new Uint8Array(STATISTICS * BLOCKS * BLOCKS * 4)},
    plate: {data: await png(CANVAS)},
  };
  return {facts, tensors, photo: new Blob([await png(SIDE)], {type: facts.picture})};
}

async function png(side) {
  const canvas = new OffscreenCanvas(side, side);
  canvas.getContext("2d").fillRect(0, 0, side, side);
  return (await canvas.convertToBlob()).arrayBuffer();
}
