// A loop on the GPU: a moving landscape, cloth, or both, maybe in another appearance, maybe with weather before it.

import {Cloth} from "./cloth.js";
import {Target} from "./gl.js";
import {Landscape} from "./scene.js";
import {Style} from "./style.js";
import {Weather} from "./weather.js";

export class Loop {
  /** plate, images {background, matte, distance}, facts and tensors: of one pack. */
  constructor(gl, programs, plate, images, {facts, tensors}) {
    Object.assign(this, {programs, plate, facts});
    this.landscape = facts.sub_cycles ? new Landscape(gl, programs, plate, facts, tensors) : null;
    this.cloth = facts.cloth ? new Cloth(gl, programs, facts, tensors, images) : null;
    this.under = this.cloth && new Target(gl, facts.width, facts.height, {format: "RGBA8"});
    this.style = facts.style ? new Style(gl, programs, facts, tensors) : null;
    this.weather = facts.weather ? new Weather(gl, programs, facts, tensors, images.distance) : null;
  }

  /**
   * Draws frame t, from 0 to the period, into the canvas. strength: of the style, 0 to 1; null: the pack's own. mip: 0
   * for the loop's size, 1 for half of either side, as a part of targets that have the whole.
   */
  draw(t, strength = null, mip = 0) {
    const {width, height, period} = this.facts, size = {mip, width: width >> mip, rows: height >> mip};
    const dry = this.weather?.frame ?? null;
    this.#draw(t, this.style?.frame ?? dry, size);
    this.style?.draw(t / period, strength, dry, size);
    this.weather?.draw(t, this.style?.share(t / period, strength) ?? 0, size);
  }

  /** Draws frame t as it is without a style, into a target whose rows count from the bottom, or the canvas. */
  #draw(t, target, size) {
    const {programs, cloth, landscape, under, plate: {photo}} = this, {mip} = size;
    if (t === 0 || !(landscape || cloth)) return programs.PHOTO.draw(target, {photo, mip}, size);
    if (landscape) landscape.draw(t, under ?? target, size);
    else if (this.underMip !== mip) programs.PHOTO.draw(under, {photo, mip}, size);  // in every frame the same
    this.underMip = mip;
    cloth?.draw(t, under, photo, target, size);
  }

  /** Frees everything, except the plate if it is `kept`. */
  dispose(kept = null) {
    for (const part of [this.landscape, this.cloth, this.under, this.style, this.weather]) part?.dispose();
    if (this.plate !== kept) this.plate.dispose();
  }
}
