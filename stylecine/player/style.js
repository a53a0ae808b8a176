// Shows finished frames in another appearance, as cuda_ops/recolour.h does.

import {Target, Texture} from "./gl.js";
import {dequantize} from "./pack.js";

export class Style {
  /** facts, tensors: of one pack. */
  constructor(gl, programs, {width, height, style: {depth, grid: [gh, gw], step, ...shown}}, {style}) {
    Object.assign(this, {programs, depth, ...shown});
    const transforms = dequantize(style.data, step);  // for each luma three layers: what is added to red, green, blue
    this.transforms = new Texture(gl, "RGBA16F", gw, gh, transforms, {filter: "LINEAR", layers: 3 * depth});
    this.frame = new Target(gl, width, height, {format: "RGBA8"});  // to be drawn to; its rows count from the bottom
  }

  /**
   * Draws `frame`, of a size, at a phase of the loop into a target or the canvas. strength: 0 to 1; null: the pack's own.
   */
  draw(phase, strength, target, size) {
    const {frame, transforms, depth} = this, amount = this.strength * this.share(phase, strength);
    this.programs.RECOLOUR.draw(target, {frame, transforms, depth, amount, size: [size.width, size.rows]}, size);
  }

  /** How much of it is shown at a phase of the loop, where 1 is the pack's own strength. */
  share(phase, strength) {
    const share = this.drift ? (1 - Math.cos(2 * Math.PI * phase)) / 2 : 1;
    return strength === null ? share : share * strength / this.strength;
  }

  dispose() { for (const part of [this.transforms, this.frame]) part.dispose(); }
}
