// The plate as the shaders read it: B-spline coefficients of its Laplacian levels, made by the graphics from pictures.

import {PlayerError, Target, Texture} from "./gl.js";
import {decoded} from "./pack.js";

const STRIP = 256;  // rows of an image whose coefficients are made at once, so that there is room for large photos
const ASIDE = 17;  // rows that coefficients depend on, above and below

// Half way between two pixels: sinc under a wider sinc (Lanczos 12). Then the inverse of (1, 4, 1) / 6.
const LANCZOS = Array.from({length: 24}, (_, k) => Math.PI * (k - 11.5))
  .map(x => Math.sin(x) * Math.sin(x / 12) / x ** 2);
const SINC = LANCZOS.map(tap => tap / LANCZOS.reduce((sum, other) => sum + other));
const INVERSE = Array.from({length: 17}, (_, k) => Math.sqrt(3) * (Math.sqrt(3) - 2) ** Math.abs(k - 8));
const PREFILTER = [0, ...INVERSE, 0];

/** The photo and the splines of its plate's levels, finest first, as textures; of a photo that stands still none. */
export class Plate {
  /** facts, tensors: of a pack. photo: a Blob. Throws PlayerError. */
  static async of(gl, programs, {facts, tensors, photo}) {
    const made_up = tensors.made_up ? [new Blob([tensors.made_up.data], {type: facts.picture})] : [];
    const pictures = await Promise.all([photo, ...made_up].map(decoded)).catch(() => {
      throw new PlayerError("The pictures of this loop cannot be read.");
    });
    const [shown, hidden] = pictures.map(picture => new Texture(gl, "RGBA8", picture.width, picture.height, picture));
    for (const picture of pictures) picture.close();
    if (!hidden) return new Plate(facts.plate, shown, []);
    const targets = [];
    const target = (...asked) => {
      targets.push(new Target(gl, ...asked));
      return targets.at(-1);
    };
    try {
      const whole = target(hidden.width, hidden.height);
      programs.PLATE.draw(whole, {photo: shown, made_up: hidden, margin: facts.margin});
      return new Plate(facts.plate, shown, splines(target, programs, whole, facts.bands));
    } catch (error) {
      for (const made of [shown, ...targets]) made.dispose();
      throw error;
    } finally {
      hidden.dispose();
    }
  }

  constructor(digest, photo, levels) { Object.assign(this, {digest, photo, splines: levels}); }

  dispose() { for (const texture of [this.photo, ...this.splines]) texture.dispose(); }
}

/** Of the bands of an image, finest first, and of the low-pass that is left, in targets made by `target`. */
function splines(target, programs, image, bands) {
  const made = [];
  for (let i = 0; i < bands; i++) {
    const across = target(Math.ceil(image.width / 2), image.height);
    const coarse = target(across.width, Math.ceil(image.height / 2));
    const band = target(image.width, image.height);
    programs.HALVED.draw(across, {image, axis: 0});
    programs.HALVED.draw(coarse, {image: across, axis: 1});
    programs.BAND.draw(band, {image, coarse});
    made.push(spline(target, programs, band, {format: "RGBA16F", filter: "LINEAR"}));
    for (const done of [across, band, image]) done.dispose();
    image = coarse;
  }
  made.push(spline(target, programs, image, {format: "RGBA32F"}));
  image.dispose();
  return made;
}

/** Coefficients at twice the resolution of an image. */
function spline(target, programs, image, form) {
  const {width, height} = image, made = target(2 * width, 2 * height, form);
  const rows = Math.min(height, STRIP + 2 * ASIDE);
  const [across, wide, down] = [width, 2 * width, 2 * width].map(columns => target(columns, rows));
  for (let top = 0; top < height; top += STRIP) {
    const end = Math.min(top + STRIP, height), row = Math.max(0, top - ASIDE);
    const count = Math.min(height, end + ASIDE) - row;
    const along = {image, axis: 0, size: width, origin: 0, row};
    programs.BETWEEN.draw(across, {...along, sinc: SINC}, 0, count);
    programs.COEFFICIENTS.draw(wide, {...along, between: across, prefilter: PREFILTER}, 0, count);
    const upright = {image: wide, axis: 1, size: height, origin: row, row: 0};
    programs.BETWEEN.draw(down, {...upright, sinc: SINC}, 0, count);
    programs.COEFFICIENTS.draw(made, {...upright, between: down, prefilter: PREFILTER}, 2 * top, 2 * (end - top));
  }
  for (const done of [across, wide, down]) done.dispose();
  return made;
}
