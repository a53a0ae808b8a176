// The plate as the shaders read it: B-spline coefficients of its Laplacian levels, made by the graphics from pictures.

import {PlayerError, Target, Texture} from "./gl.js";
import {decoded} from "./pack.js";

const STRIP = 512;  // rows of coefficients made at once, so that there is room for those of large photos
const ASIDE = 17;  // rows of a level that coefficients depend on, above and below
const APRON = 8;  // pixels more than a level's doubled ones that the prefilter needs

// Half way between two pixels: sinc under a wider sinc (Lanczos 12).
const SINC = Array.from({length: 24}, (_, k) => Math.PI * (k - 11.5)).map(x => Math.sin(x) * Math.sin(x / 12) / x ** 2);
const BETWEEN = SINC.map(tap => tap / SINC.reduce((sum, other) => sum + other));
const PREFILTER = Array.from({length: 17}, (_, k) => Math.sqrt(3) * (Math.sqrt(3) - 2) ** Math.abs(k - 8));

/** The photo and the splines of its plate's levels, finest first, as textures. */
export class Plate {
  /** facts, tensors: of a pack. photo: a Blob. Throws PlayerError. */
  static async of(gl, programs, {facts, tensors, photo}) {
    const made_up = new Blob([tensors.made_up.data], {type: facts.picture});
    const pictures = await Promise.all([photo, made_up].map(decoded)).catch(() => {
      throw new PlayerError("The pictures of this loop cannot be read.");
    });
    const [shown, hidden] = pictures.map(picture => new Texture(gl, "RGBA8", picture.width, picture.height, picture));
    for (const picture of pictures) picture.close();
    const whole = new Target(gl, hidden.width, hidden.height);
    programs.PLATE.draw(whole, {photo: shown, made_up: hidden, margin: facts.margin});
    hidden.dispose();
    return new Plate(facts.plate, shown, splines(gl, programs, whole, facts.bands));
  }

  constructor(digest, photo, levels) { Object.assign(this, {digest, photo, splines: levels}); }

  dispose() { for (const texture of [this.photo, ...this.splines]) texture.dispose(); }
}

/** Of the bands of an image, finest first, and of the low-pass that is left. The image is disposed of. */
function splines(gl, programs, image, bands) {
  const made = [];
  for (let i = 0; i < bands; i++) {
    const across = new Target(gl, Math.ceil(image.width / 2), image.height);
    const coarse = new Target(gl, across.width, Math.ceil(image.height / 2));
    const band = new Target(gl, image.width, image.height);
    programs.HALVED.draw(across, {image, axis: 0});
    programs.HALVED.draw(coarse, {image: across, axis: 1});
    programs.BAND.draw(band, {image, coarse});
    made.push(spline(gl, programs, band, {format: "RGBA16F", filter: "LINEAR"}));
    for (const done of [across, band, image]) done.dispose();
    image = coarse;
  }
  made.push(spline(gl, programs, image, {format: "RGBA32F"}));
  image.dispose();
  return made;
}

/** Coefficients at twice the resolution of an image. */
function spline(gl, programs, image, form) {
  const {width, height} = image, wide = 2 * width, high = 2 * height;
  const rows = Math.min(height, STRIP / 2 + 2 * ASIDE + 1), strip = Math.min(STRIP, high);
  const made = new Target(gl, wide, high, form);
  const doubled = new Target(gl, wide + 2 * APRON, rows), filtered = new Target(gl, wide, rows);
  const tall = new Target(gl, wide, strip + 2 * APRON);
  for (let top = 0; top < high; top += STRIP) {
    const end = Math.min(top + STRIP, high), first = Math.max(0, top / 2 - ASIDE);
    const count = Math.min(height, Math.ceil(end / 2) + ASIDE) - first;
    const along = {between: BETWEEN, axis: 0, origin: 0, size: width, shift: [-APRON, first]};
    const down = {between: BETWEEN, axis: 1, origin: first, size: height, shift: [0, top - APRON]};
    programs.DOUBLED.draw(doubled, {image, ...along}, 0, count);
    programs.PREFILTERED.draw(filtered, {image: doubled, prefilter: PREFILTER, axis: 0, top: 0}, 0, count);
    programs.DOUBLED.draw(tall, {image: filtered, ...down}, 0, end - top + 2 * APRON);
    programs.PREFILTERED.draw(made, {image: tall, prefilter: PREFILTER, axis: 1, top}, top, end - top);
  }
  for (const done of [doubled, filtered, tall]) done.dispose();
  return made;
}
