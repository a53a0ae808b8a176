// The plate on the GPU: B-spline coefficients of its Laplacian levels, computed from images.

import {Target, Texture} from "./gl.js";
import {decodeAll, dequantize} from "./pack.js";

const STRIP = 256;  // rows whose coefficients are computed at once, to save memory with large photos
const APRON = 17;  // rows that coefficients depend on, above and below

// Half way between two pixels: sinc under a wider sinc (Lanczos 12). Then the inverse of (1, 4, 1) / 6.
const LANCZOS = Array.from({length: 24}, (_, k) => Math.PI * (k - 11.5))
  .map(x => Math.sin(x) * Math.sin(x / 12) / x ** 2);
const SINC = LANCZOS.map(tap => tap / LANCZOS.reduce((sum, other) => sum + other));
const INVERSE = Array.from({length: 17}, (_, k) => Math.sqrt(3) * (Math.sqrt(3) - 2) ** Math.abs(k - 8));
const PREFILTER = [0, ...INVERSE, 0];

/** As textures: the photo, the splines of the levels of its plate, finest first, and the light that stands; no levels and
 * no light if only overlays or weather move. */
export class Plate {
  /** facts, tensors: of a pack. photo: a Blob. Throws PlayerError. */
  static async create(gl, programs, {facts, tensors, photo}) {
    const inpainted = tensors.plate ? [new Blob([tensors.plate.data], {type: facts.picture})] : [];
    const images = await decodeAll([photo, ...inpainted]), made = [];
    const keep = part => {
      made.push(part);
      return part;
    };
    const target = (...size) => keep(new Target(gl, ...size));
    try {
      const [shown, hidden] = images.map((image, i) =>
        keep(new Texture(gl, "RGBA8", image.width, image.height, image, {halved: i === 0})));
      if (!hidden) return new Plate(facts.plate_digest, shown);
      const merged = target(hidden.width, hidden.height);
      programs.PLATE.draw(merged, {photo: shown, inpainted: hidden, margin: facts.margin});
      hidden.dispose();
      const [high, wide] = [merged.height, merged.width].map(length => Math.ceil(length / 2 ** facts.bands));
      const values = tensors.light ? dequantize(tensors.light.data, facts.scales.light) : null;
      const light = keep(new Texture(gl, "RGBA32F", wide, high, values));
      return new Plate(facts.plate_digest, shown, splines(target, programs, merged, facts.bands, light), light);
    } catch (error) {
      for (const part of made) part.dispose();
      throw error;
    } finally {
      for (const image of images) image.close();
    }
  }

  constructor(digest, photo, levels = [], light = null) { Object.assign(this, {digest, photo, splines: levels, light}); }

  dispose() { for (const texture of [this.photo, ...this.splines, this.light]) texture?.dispose(); }
}

/** Splines of an image's bands, finest first, and of the remaining low-pass less the light, in targets made by `target`. */
function splines(target, programs, image, bands, light) {
  const made = [];
  for (let i = 0; i < bands; i++) {
    const across = target(Math.ceil(image.width / 2), image.height);
    const coarse = target(across.width, Math.ceil(image.height / 2));
    const band = target(image.width, image.height);
    programs.DOWNSAMPLE.draw(across, {image, axis: 0});
    programs.DOWNSAMPLE.draw(coarse, {image: across, axis: 1});
    programs.BAND.draw(band, {image, coarse});
    made.push(spline(target, programs, band, {format: "RGBA16F", filter: "LINEAR"}));
    for (const used of [across, band, image]) used.dispose();
    image = coarse;
  }
  const unlit = target(image.width, image.height);
  programs.UNLIT.draw(unlit, {image, light});
  made.push(spline(target, programs, unlit, {format: "RGBA32F"}));
  for (const used of [image, unlit]) used.dispose();
  return made;
}

/** Coefficients at twice the resolution of an image. */
function spline(target, programs, image, format) {
  const {width, height} = image, made = target(2 * width, 2 * height, format);
  const rows = Math.min(height, STRIP + 2 * APRON);
  const [across, wide, down] = [width, 2 * width, 2 * width].map(columns => target(columns, rows));
  for (let top = 0; top < height; top += STRIP) {
    const end = Math.min(top + STRIP, height), row = Math.max(0, top - APRON);
    const count = Math.min(height, end + APRON) - row;
    const along = {image, axis: 0, size: width, origin: 0, row};
    programs.MIDPOINTS.draw(across, {...along, sinc: SINC}, {rows: count});
    programs.COEFFICIENTS.draw(wide, {...along, midpoints: across, prefilter: PREFILTER}, {rows: count});
    const upright = {image: wide, axis: 1, size: height, origin: row, row: 0};
    programs.MIDPOINTS.draw(down, {...upright, sinc: SINC}, {rows: count});
    const strip = {top: 2 * top, rows: 2 * (end - top)};
    programs.COEFFICIENTS.draw(made, {...upright, midpoints: down, prefilter: PREFILTER}, strip);
  }
  for (const used of [across, wide, down]) used.dispose();
  return made;
}
