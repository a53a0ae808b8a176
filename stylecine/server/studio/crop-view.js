// Shows which part of the picture a crop keeps, with a slider that moves it.

import {$, clamp, fillTrack, make, rangeInput} from "./dom.js";
import {drawFrame} from "./playback.js";

const WIDTH = 560;  // of its canvas, in pixels

export class CropView {
  /** `position`: the centre of the crop on the axis along which it can move, 0 to 1; null: the centre of motion. */
  constructor(maps, shape, position, onChange) {
    this.everywhere = maps.everywhere;
    this.aspect = maps.width / maps.height;
    this.ratio = shape ? shape.split(":").reduce((wide, high) => wide / high) : this.aspect;
    this.shape = shape;
    this.horizontal = this.ratio < this.aspect;  // the axis along which it can move
    this.position = position ?? centreOfMotion(maps, this.horizontal);
    const height = Math.round(WIDTH / this.aspect);
    this.canvas = make("canvas", {width: WIDTH, height, role: "img", ariaLabel: "The part that is kept"});
    this.element = make("div", {className: "crop wide"}, this.canvas);
    if (Math.abs(this.ratio / this.aspect - 1) > 0.01) this.element.append(this.#slider(onChange));
    onChange(this.position);
  }

  /** The service's `crop` option. */
  get option() {
    const position = this.position.toFixed(3);
    return `${this.shape}@${this.horizontal ? `${position},0.5` : `0.5,${position}`}`;
  }

  /** The size of a picture after cropping. */
  croppedSize([width, height]) {
    return this.horizontal ? [Math.round(height * this.ratio), height] : [width, Math.round(width / this.ratio)];
  }

  draw() {
    const photo = $("photo");
    if (!photo.naturalWidth) {
      photo.addEventListener("load", () => this.draw(), {once: true});
      return;
    }
    const {width, height} = this.canvas;
    const context = this.canvas.getContext("2d");
    context.drawImage(photo, 0, 0, width, height);
    if (this.everywhere) drawFrame(context, width, height);  // in another style, or with weather
    const [w, h] = this.croppedSize([width, height]);
    const start = (length, kept) => clamp(this.position * length - kept / 2, 0, length - kept);
    context.fillStyle = "rgb(8 10 12 / 0.66)";
    context.beginPath();
    context.rect(0, 0, width, height);
    context.rect(this.horizontal ? start(width, w) : 0, this.horizontal ? 0 : start(height, h), w, h);
    context.fill("evenodd");
  }

  #slider(onChange) {
    const range = {min: "0", max: "1", step: "0.01", value: String(this.position), ariaLabel: "Position of the crop"};
    const input = rangeInput(range, () => {
      this.position = Number(input.value);
      fillTrack(input);
      this.draw();
      onChange(this.position);
    });
    fillTrack(input);
    return input;
  }
}

/** The centre of everything that moves, cloth as well, along x or y, 0 to 1. */
function centreOfMotion({layers, grid, width, height}, horizontal) {
  let [sum, weighted] = [1e-9, 0.5e-9];
  for (const layer of Object.values(layers)) {
    for (let k = 0; k < layer.length; k++) {
      const cell = horizontal ? k % grid.width : Math.floor(k / grid.width);
      const place = ((cell + 0.5) * grid.cell - grid.margin) / (horizontal ? width : height);
      if (place < 0 || place > 1) continue;  // past the photo's border
      sum += layer[k];
      weighted += layer[k] * place;
    }
  }
  return Math.round(100 * weighted / sum) / 100;
}
