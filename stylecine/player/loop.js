// A loop on the GPU: a moving landscape, cloth, or both.

import {Cloth} from "./cloth.js";
import {Target} from "./gl.js";
import {Landscape} from "./scene.js";

export class Loop {
  /** plate, images (of the cloth), facts and tensors: of one pack. */
  constructor(gl, programs, plate, images, {facts, tensors}) {
    Object.assign(this, {programs, plate});
    this.landscape = facts.turns ? new Landscape(gl, programs, plate, facts, tensors) : null;
    this.cloth = facts.cloth ? new Cloth(gl, programs, facts, tensors, images) : null;
    this.under = this.cloth && new Target(gl, facts.width, facts.height, {format: "RGBA8"});
  }

  /** Draws frame t, from 0 to the period, into the canvas. */
  draw(t) {
    const {programs, cloth, landscape, under, plate: {photo}} = this;
    if (t === 0) return programs.PHOTO.draw(null, {photo});
    if (landscape) landscape.draw(t, under);
    else programs.PHOTO.draw(under, {photo});
    cloth?.draw(t, under, photo);
  }

  /** Frees everything, except the plate if it is `kept`. */
  dispose(kept = null) {
    for (const part of [this.landscape, this.cloth, this.under]) part?.dispose();
    if (this.plate !== kept) this.plate.dispose();
  }
}
