// A loop on the GPU: a moving landscape, plants and cloth over it, maybe in another appearance, maybe with weather before.

import {Cloth} from "./cloth.js";
import {Target} from "./gl.js";
import {Landscape} from "./scene.js";
import {Style} from "./style.js";
import {Weather} from "./weather.js";

export class Loop {
  /** plate, images by name, facts and tensors: of one pack. */
  constructor(gl, programs, plate, images, {facts, tensors}) {
    Object.assign(this, {programs, plate, facts});
    this.landscape = facts.sub_cycles ? new Landscape(gl, programs, plate, facts, tensors) : null;
    this.cloth = facts.cloth ? new Cloth(gl, programs, facts, tensors, images) : null;
    this.plants = facts.plants ? plantsOf(gl, programs, facts, tensors, images) : null;
    this.overlays = [this.plants, this.cloth].filter(Boolean);
    this.under = this.overlays.map(() => new Target(gl, facts.width, facts.height, {format: "RGBA8"}));
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
    const {programs, overlays, landscape, under, plate: {photo}} = this, {mip} = size;
    if (t === 0 || !(landscape || overlays.length)) return programs.PHOTO.draw(target, {photo, mip}, size);
    if (landscape) landscape.draw(t, under[0] ?? target, size);
    else if (this.underMip !== mip) programs.PHOTO.draw(under[0], {photo, mip}, size);  // in every frame the same
    this.underMip = mip;
    overlays.forEach((layer, i) => layer.draw(t, under[i], photo, i + 1 < under.length ? under[i + 1] : target, size));
  }

  /** Moves what a wind pack has as it says. facts, tensors: of the loop's pack, in this wind. mip: as in `draw`. */
  move(wind, {facts, tensors}, mip) {
    if (wind.tensors.velocity) this.landscape.move(facts, tensors, mip);
    if (wind.facts.plants) this.plants.move(facts.plants, plantsOwn(tensors));
    if (wind.facts.cloth) this.cloth.move(facts.cloth, tensors);
  }

  /** Frees everything, except the plate if it is `kept`. */
  dispose(kept = null) {
    for (const part of [this.landscape, ...this.overlays, ...this.under, this.style, this.weather]) part?.dispose();
    if (this.plate !== kept) this.plate.dispose();
  }
}

/** Plants sway as cloth does. */
function plantsOf(gl, programs, facts, tensors, images) {
  return new Cloth(gl, programs, {...facts, cloth: facts.plants}, plantsOwn(tensors), plantsOwn(images));
}

/** What is the plants' in a pack, by the names that it has for cloth. */
function plantsOwn(all) {
  const own = Object.entries(all).filter(([name]) => name.startsWith("plants_"));
  return Object.fromEntries(own.map(([name, value]) => [name.replace("plants_", ""), value]));
}
