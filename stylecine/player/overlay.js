// Draws plants or cloth over a frame, as cuda_ops/drape.h does.

import {Target, Texture} from "./gl.js";
import {decodeKeyframes} from "./keyframes.js";

const MAX_KEYFRAMES = 32;

export class Overlay {
  /** facts: of a pack. overlay: those of one of its overlays, whose tensors and images the others are. */
  constructor(gl, programs, {width, height, period}, overlay, tensors, {background, matte}) {
    Object.assign(this, {gl, programs, period, width});
    this.textures = {
      background: new Texture(gl, "RGBA8", width, height, background, {halved: true}),
      matte: new Texture(gl, "R8", width, height, matte, {halved: true}),
    };
    this.move(overlay, tensors);
  }

  /** Moves as the keyframes say, of the pack or of one for another wind. */
  move(overlay, {keyframes, active}) {
    const {gl} = this, [high, wide] = active.shape, count = keyframes.shape[0] + 1;
    const {grid: [gh, gw], cycles, gustiness, cell, fine} = overlay;
    if (!this.field || this.field.width !== gw || this.field.height !== gh || this.count !== count) {
      this.#disposeMotion();  // otherwise reused: the status of a new target has to wait for all frames before
      this.tiles = new Texture(gl, "R8", wide, high);
      this.keyframes = new Texture(gl, "RGBA32F", gw, gh, null, {layers: count});
      this.field = new Target(gl, gw, gh);
      this.columns = new Target(gl, this.width, gh);
    }
    Object.assign(this, {count, cycles, gustiness, cell, fine: Number(fine)});
    this.tiles.write(active.data);
    this.keyframes.write(decodeKeyframes(keyframes, overlay));
  }

  /**
   * Draws it at time t over a frame, of a size, into a target or the canvas; rows of both count from the bottom.
   */
  draw(t, frame, photo, target, size) {
    const share = t / this.period % 1, angle = 2 * Math.PI * share;
    const phase = this.cycles * (share + this.gustiness * (1 - Math.cos(angle)) / (2 * Math.PI)) % 1;
    const strength = 1 + this.gustiness * Math.sin(angle);
    const weights = Array.from({length: MAX_KEYFRAMES}, (_, k) => strength * keyframeWeight(k, this.count, phase));
    this.programs.OVERLAY_FIELD.draw(this.field, {keyframes: this.keyframes, weights});
    const {textures, tiles, field, columns, cell, fine} = this, {mip, width} = size;
    this.programs.OVERLAY_COLUMNS.draw(columns, {field, cell, mip}, {width});
    this.programs.OVERLAY.draw(target, {...textures, tiles, frame, photo, columns, cell, fine, mip}, size);
  }

  dispose() {
    for (const texture of Object.values(this.textures)) texture.dispose();
    this.#disposeMotion();
  }

  #disposeMotion() { for (const part of [this.tiles, this.keyframes, this.field, this.columns]) part?.dispose(); }
}

/** The weight of keyframe k, of `count` (even) in a period, in the trigonometric interpolation at a phase. */
function keyframeWeight(k, count, phase) {
  if (k >= count) return 0;
  const position = phase * count;
  if (Number.isInteger(position)) return Number(position === k);
  const angle = Math.PI * (position - k) / count;
  return Math.sin(count * angle) / (count * Math.tan(angle));
}
