// A loop on the GPU: a moving landscape, overlays over it, maybe in another appearance, maybe with weather before, and
// one colour where the photo is transparent.

import {Target, Texture} from "./gl.js";
import {Landscape} from "./landscape.js";
import {Overlay} from "./overlay.js";
import {ofOverlay} from "./pack.js";
import {Style} from "./style.js";
import {Weather} from "./weather.js";

export class Loop {
  /** plate, images by name, facts and tensors: of one pack. */
  constructor(gl, programs, plate, images, {facts, tensors}) {
    Object.assign(this, {programs, plate, facts});
    this.landscape = facts.sub_cycles ? new Landscape(gl, programs, plate, facts, tensors) : null;
    this.overlays = facts.overlays.map((overlay, i) =>
      new Overlay(gl, programs, facts, overlay, ofOverlay(tensors, i), ofOverlay(images, i)));
    this.under = this.overlays.map(() => new Target(gl, facts.width, facts.height, {format: "RGBA8"}));
    this.style = facts.style ? new Style(gl, programs, facts, tensors) : null;
    this.weather = facts.weather ? new Weather(gl, programs, facts, tensors, images.distance) : null;
    this.cover = facts.cover ? new Texture(gl, "R8", facts.width, facts.height, images.cover, {halved: true}) : null;
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
    if (this.cover) this.programs.COVER.blend({cover: this.cover, colour: this.facts.cover.map(c => c / 255), mip}, size);
  }

  /** Draws frame t as it is without a style, into a target whose rows count from the bottom, or the canvas. */
  #draw(t, target, size) {
    const {programs, overlays, landscape, under, plate: {photo}} = this, {mip} = size;
    if (t === 0 || !(landscape || overlays.length)) return programs.PHOTO.draw(target, {photo, mip}, size);
    if (landscape) landscape.draw(t, under[0] ?? target, size);
    else if (this.underMip !== mip) programs.PHOTO.draw(under[0], {photo, mip}, size);  // in every frame the same
    this.underMip = mip;
    overlays.forEach((overlay, i) => overlay.draw(t, under[i], photo, under[i + 1] ?? target, size));
  }

  /** Moves what a wind pack has as it says. facts, tensors: of the loop's pack, in this wind. mip: as in `draw`. */
  move(wind, {facts, tensors}, mip) {
    if (wind.tensors.velocity) this.landscape.move(facts, tensors, mip);
    wind.facts.overlays.forEach((overlay, i) => this.overlays[i].move(overlay, ofOverlay(wind.tensors, i)));
  }

  /** Frees everything, except the plate if it is `kept`. */
  dispose(kept = null) {
    for (const part of [this.landscape, ...this.overlays, ...this.under, this.style, this.weather, this.cover]) {
      part?.dispose();
    }
    if (this.plate !== kept) this.plate.dispose();
  }
}
