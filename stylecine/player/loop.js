// One loop, ready to be drawn: a landscape in motion, cloth in the wind, or both.

import {Cloth} from "./cloth.js";
import {Target} from "./gl.js";
import {Scene} from "./scene.js";

export class Loop {
  /** plate, pictures (of the cloth): made of the same pack, whose facts and tensors these are. */
  constructor(gl, programs, plate, pictures, {facts, tensors}) {
    Object.assign(this, {programs, plate});
    this.landscape = facts.turns ? new Scene(gl, programs, plate, facts, tensors) : null;
    this.cloth = facts.cloth ? new Cloth(gl, programs, facts, tensors, pictures) : null;
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

  /** Disposes of all but a plate that is kept. */
  dispose(kept = null) {
    for (const made of [this.landscape, this.cloth, this.under]) made?.dispose();
    if (this.plate !== kept) this.plate.dispose();
  }
}
