// A loop on the GPU: a moving landscape, cloth, or both, maybe in another appearance.

import {Cloth} from "./cloth.js";
import {Target} from "./gl.js";
import {Landscape} from "./scene.js";
import {Style} from "./style.js";

export class Loop {
  /** plate, images (of the cloth), facts and tensors: of one pack. */
  constructor(gl, programs, plate, images, {facts, tensors}) {
    Object.assign(this, {programs, plate, period: facts.period});
    this.landscape = facts.turns ? new Landscape(gl, programs, plate, facts, tensors) : null;
    this.cloth = facts.cloth ? new Cloth(gl, programs, facts, tensors, images) : null;
    this.under = this.cloth && new Target(gl, facts.width, facts.height, {format: "RGBA8"});
    if (this.under && !this.landscape) programs.PHOTO.draw(this.under, {photo: plate.photo});  // in every frame the same
    this.style = facts.style ? new Style(gl, programs, facts, tensors) : null;
  }

  /** Draws frame t, from 0 to the period, into the canvas. strength: of the style, 0 to 1; null: the pack's own. */
  draw(t, strength = null) {
    this.#draw(t, this.style?.frame ?? null);
    this.style?.draw(t / this.period, strength);
  }

  /** Draws frame t as it is without a style, into a target whose rows count from the bottom, or the canvas. */
  #draw(t, target) {
    const {programs, cloth, landscape, under, plate: {photo}} = this;
    if (t === 0) return programs.PHOTO.draw(target, {photo});
    landscape?.draw(t, under ?? target);
    cloth?.draw(t, under, photo, target);
  }

  /** Frees everything, except the plate if it is `kept`. */
  dispose(kept = null) {
    for (const part of [this.landscape, this.cloth, this.under, this.style]) part?.dispose();
    if (this.plate !== kept) this.plate.dispose();
  }
}
