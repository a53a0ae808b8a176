// Cloth in the wind over a frame, as cuda_ops/drape.h draws it.

import {PlayerError, Target, Texture} from "./gl.js";
import {decoded} from "./pack.js";

const MOST = 32;  // knots

/** The pictures of a pack's cloth, decoded; none where it has no cloth. Throws PlayerError. */
export function clothPictures({facts, tensors}) {
  const kinds = facts.cloth ? {background: facts.picture, matte: "image/png"} : {};
  const blobs = Object.entries(kinds).map(([name, type]) => new Blob([tensors[name].data], {type}));
  return Promise.all(blobs.map(decoded)).catch(() => {
    throw new PlayerError("The pictures of this loop cannot be read.");
  });
}

export class Cloth {
  /** facts, tensors: of a pack, whose pictures these are. */
  constructor(gl, programs, {width, height, period, cloth}, {knots, active}, [background, matte]) {
    const [gh, gw] = cloth.grid, [high, wide] = active.shape;
    const count = knots.shape[0] + 1;
    Object.assign(this, {programs, period, count, cycles: cloth.cycles, cell: cloth.cell});
    this.textures = {
      background: new Texture(gl, "RGBA8", width, height, background),
      matte: new Texture(gl, "R8", width, height, matte),
      tiles: new Texture(gl, "R8", wide, high, active.data),
    };
    this.knots = new Texture(gl, "RGBA32F", gw, gh, summed(knots, cloth), {layers: count});
    this.field = new Target(gl, gw, gh);
  }

  /** Draws the cloth of time t over a frame, a texture whose rows count from below, into the canvas. */
  draw(t, frame, photo) {
    const weights = Array.from({length: MOST}, (_, knot) => weightOf(knot, this.count, t * this.cycles / this.period % 1));
    this.programs.BLOWN.draw(this.field, {knots: this.knots, weights});
    this.programs.DRAPED.draw(null, {...this.textures, frame, photo, field: this.field, cell: this.cell});
  }

  dispose() { for (const made of [...Object.values(this.textures), this.knots, this.field]) made.dispose(); }
}

/** What a knot, of `count` (even) in a period, counts in the trigonometric interpolation at a phase. */
function weightOf(knot, count, phase) {
  if (knot >= count) return 0;
  const place = phase * count;
  if (Number.isInteger(place)) return Number(place === knot);
  const away = Math.PI * (place - knot) / count;
  return Math.sin(count * away) / (count * Math.tan(away));
}

/** The knots, RGBA of the whole grid each, the first 0: of differences along rows, in steps, of a part of the grid. */
function summed({shape: [count, channels, rows, columns], data}, {grid: [gh, gw], at: [top, left], steps: [place, gain]}) {
  const knots = new Float32Array((count + 1) * gh * gw * 4), step = [place, place, gain];
  const row = new Int16Array(columns);
  for (let line = 0; line < count * channels * rows; line++) {
    row.set(data.subarray(line * columns, (line + 1) * columns));
    for (let x = 1; x < columns; x++) row[x] += row[x - 1];
    const knot = Math.floor(line / (channels * rows)) + 1, channel = Math.floor(line / rows) % channels;
    const first = ((knot * gh + top + line % rows) * gw + left) * 4 + channel;
    for (let x = 0; x < columns; x++) knots[first + 4 * x] = row[x] * step[channel];
  }
  return knots;
}
