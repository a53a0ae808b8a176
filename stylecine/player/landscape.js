// A moving landscape on the GPU: its fields, and the passes of a frame.

import {Target, Texture} from "./gl.js";
import {dequantize} from "./pack.js";

const STEP = 2, ROUGH_STEP = 12;  // frames of an integration step, at most; of one while the wind turns
const SPARSE = 4;  // where that is drawn at half the size, so many times as far apart are its steps and knots
const MAX_KNOTS = 64;  // stored; in longer loops only every second, third ... knot
const UNIT = 16;  // canvas pixels per cell of the map of needed places
const MAX_NUMBERS = 8;  // of the shaders' lists: sub-cycles, or weights of the swell

/** How much of the stagger counts at frame t: it sets in over the loop's first `ramp` frames and ceases over the last. */
function staggerShift(t, ramp, period) {
  const smoothstep = u => u * u * (3 - 2 * u);
  return smoothstep(Math.min(t / ramp, 1)) * smoothstep(Math.min((period - t) / ramp, 1));
}

export class Landscape {
  /** plate, facts, tensors: of one pack. */
  constructor(gl, programs, plate, facts, tensors) {
    const {width, height, margin, cell, grid: [gh, gw], scales} = facts;
    Object.assign(this, {gl, programs, plate, facts});
    const stagger = tensors.stagger ? dequantize(tensors.stagger.data, scales.stagger) : new Float32Array(1);
    this.staggered = Boolean(tensors.stagger);
    this.clocks = tensors.swell ? facts.swell_cycles.length : 0;
    this.standingShares = tensors.standing ? facts.standing_shares : [];
    const standing = tensors.standing ?? {data: new Uint8Array(1), shape: [1, 1]};
    const [layers, high, wide] = tensors.statistics.shape;
    const size = [Math.ceil((width + 2 * margin) / UNIT), Math.ceil((height + 2 * margin) / UNIT)];
    this.textures = {
      moving: new Texture(gl, "R8", width, height, tensors.moving.data, {halved: true}),
      crossfade: new Texture(gl, "RGB8", gw, gh, tensors.crossfade.data),
      velocity: new Texture(gl, "RG32F", gw, gh),
      swell: new Texture(gl, "RGBA32F", Math.max(1, gw * this.clocks), gh),
      standing: new Texture(gl, "R8", standing.shape[1], standing.shape[0], standing.data),
      stagger: new Texture(gl, "R32F", this.staggered ? gw : 1, this.staggered ? gh : 1, stagger),
      statistics: new Texture(gl, "RGBA8", wide, high, tensors.statistics.data, {filter: "LINEAR", layers}),
      needed: new Texture(gl, "R8", ...size, neededCells(tensors.moving.data, facts, size)),
    };
    this.#move(facts, tensors, STEP);
    this.fields = new Target(gl, gw, gh, {count: 4});
    this.sums = Array.from({length: facts.bands}, (_, i) => {
      const scale = 2 ** (i + 1);
      return new Target(gl, Math.ceil((width + 2 * margin) / scale), Math.ceil((height + 2 * margin) / scale));
    });
  }

  /** Moves with the velocity and the swell of a draft in another wind. mip: of the frames. */
  move(facts, tensors, mip) {
    const sparse = mip ? SPARSE : 1;
    this.#move(facts, tensors, ROUGH_STEP * sparse, sparse);
  }

  /**
   * Draws frame t, above 0 and below the period, in a size, into a target whose rows count from the bottom, or the
   * canvas.
   */
  draw(t, target, size) {
    const {facts: {period, sub_cycles, ramps, margin, cell, scales, block, swell_cycles, bands}, programs, plate} = this;
    const {moving, needed, standing, ...textures} = this.textures;
    const angles = swell_cycles.map(cycles => 2 * Math.PI * cycles * t / period);
    const padded = list => [...list, ...Array(MAX_NUMBERS - list.length).fill(0)];
    programs.FIELDS.draw(this.fields, {
      ...textures, needed, cell, block, stride: this.stride,
      phases: padded(sub_cycles.map(count => t * count / period % 1)),
      lengths: padded(sub_cycles.map(count => period / count)),
      shifts: padded(ramps.map(ramp => this.staggered ? staggerShift(t, ramp, period) : 0)),
      clocks: this.clocks,
      swell_weights: padded(angles.flatMap(angle => [Math.cos(angle) - 1, Math.sin(angle)])),
      scale_angle: scales.angle * 255, scale_gain: scales.contrast_gain * 255, scale_crossfade: scales.crossfade,
    });
    const [sources, ...weights] = this.fields.textures;
    const level = i => ({spline: plate.splines[i], sources, weights: weights[i >> 1], odd: i & 1, scale: 2 ** i, cell});
    const coarser = i => ({...level(i), needed, standing, share: this.standingShares[i] ?? 0});
    programs.LOW_PASS.draw(this.sums[bands - 1], {...coarser(bands), light: plate.light});
    for (let i = bands - 1; i > 0; i--) {
      programs.LEVEL.draw(this.sums[i - 1], {...coarser(i), coarse: this.sums[i]});
    }
    const {mip} = size;
    programs.FRAME.draw(target, {...level(0), photo: plate.photo, moving, margin, coarse: this.sums[0], mip}, size);
  }

  dispose() { for (const part of [...Object.values(this.textures), ...this.moved, this.fields, ...this.sums]) part.dispose(); }

  #move({grid: [gh, gw], scales}, {velocity, swell}, step, sparse = 1) {
    this.textures.velocity.write(dequantize(velocity.data, scales.velocity));
    if (swell) this.textures.swell.write(dequantize(swell.data, scales.swell));
    this.#integrate(gw, gh, step, sparse);
  }

  /** Integrates the knots: the displacement along the flow and against it after every `stride` frames. */
  #integrate(gw, gh, step, sparse) {
    const {gl, programs, facts: {period, sub_cycles, stride, cell}, textures} = this, longest = period / sub_cycles[0];
    this.stride = stride * sparse * Math.ceil(longest / stride / (MAX_KNOTS - 1));
    const steps = Math.ceil(this.stride / step);
    const layers = Math.max(2, Math.ceil(longest / this.stride) + 1);
    textures.knots ??= new Texture(gl, "RGBA32F", gw, gh, null, {layers});
    textures.rest ??= new Texture(gl, "RGBA32F", gw, gh);  // textures begin with zeros
    this.moved ??= [new Target(gl, gw, gh), new Target(gl, gw, gh)];
    let before = textures.rest, [after, other] = this.moved;
    for (let knot = 1; knot < layers; knot++) {
      const {velocity, needed} = textures;
      programs.INTEGRATE.draw(after, {velocity, before, needed, cell, frames: this.stride / steps, steps});
      gl.activeTexture(gl.TEXTURE0);
      gl.bindTexture(gl.TEXTURE_2D_ARRAY, textures.knots.texture);
      gl.copyTexSubImage3D(gl.TEXTURE_2D_ARRAY, 0, 0, 0, knot, 0, 0, gw, gh);
      [before, after, other] = [after, other, after];
    }
  }
}

/** Where levels and fields are needed, as something nearby moves: a byte for every UNIT canvas pixels. */
function neededCells(moving, {width, height, margin, cell}, [wide, high]) {
  const around = 2 * Math.max(1, cell / UNIT), cells = new Uint8Array(wide * high);
  const moves = (left, top) => {
    const [bottom, right] = [Math.min(top + UNIT, height), Math.min(left + UNIT, width)];
    for (let y = Math.max(top, 0); y < bottom; y++)
      for (let x = Math.max(left, 0); x < right; x++) if (moving[y * width + x]) return true;
    return false;
  };
  for (let row = 0; row < high; row++)
    for (let column = 0; column < wide; column++) {
      if (!moves(column * UNIT - margin, row * UNIT - margin)) continue;
      for (let y = Math.max(row - around, 0); y <= Math.min(row + around, high - 1); y++) {
        cells.fill(255, y * wide + Math.max(column - around, 0), y * wide + Math.min(column + around + 1, wide));
      }
    }
  return cells;
}
