// A small picture with the window that a crop keeps, and a slider that moves it.

import {$, fill, make} from "./dom.js";

const WIDTH = 560;  // of its canvas, in pixels

export class CropView {
  /** `place`: where the window's middle is along the way it can go, 0 to 1; null: where most moves. */
  constructor(maps, shape, place, changed) {
    this.aspect = maps.width / maps.height;
    this.ratio = shape ? shape.split(":").reduce((wide, high) => wide / high) : this.aspect;
    this.shape = shape;
    this.upright = this.ratio < this.aspect;  // its window goes left and right
    this.place = place ?? busiest(maps, this.upright);
    this.canvas = make("canvas", {width: WIDTH, height: Math.round(WIDTH / this.aspect), role: "img", ariaLabel: "What is kept of the picture"});
    this.element = make("div", {className: "crop wide"}, make("div", {className: "frame-shape"}, this.canvas));
    if (Math.abs(this.ratio / this.aspect - 1) > 0.01) this.element.append(this.#slider(changed));
    changed(this.place);
  }

  /** As the service wants it: the shape and its window's middle. */
  get told() {
    const place = this.place.toFixed(3);
    return `${this.shape}@${this.upright ? `${place},0.5` : `0.5,${place}`}`;
  }

  /** Width and height that are left of these. */
  sized([width, height]) {
    return this.upright ? [Math.round(height * this.ratio), height] : [width, Math.round(width / this.ratio)];
  }

  draw() {
    const still = $("still");
    if (!still.naturalWidth) {
      still.addEventListener("load", () => this.draw(), {once: true});
      return;
    }
    const {width, height} = this.canvas;
    const context = this.canvas.getContext("2d");
    context.drawImage(still, 0, 0, width, height);
    const [wide, high] = this.sized([width, height]);
    const [left, top] = this.upright ? [start(this.place, width, wide), 0] : [0, start(this.place, height, high)];
    context.fillStyle = "rgb(8 10 12 / 0.66)";
    context.beginPath();
    context.rect(0, 0, width, height);
    context.rect(left, top, wide, high);
    context.fill("evenodd");
  }

  #slider(changed) {
    const input = make("input", {type: "range", min: "0", max: "1", step: "0.01", value: String(this.place), ariaLabel: "Where the window lies"});
    fill(input);
    input.addEventListener("input", () => {
      this.place = Number(input.value);
      fill(input);
      this.draw();
      changed(this.place);
    });
    return input;
  }
}

function start(place, whole, side) {
  return Math.min(Math.max(place * whole - side / 2, 0), whole - side);
}

/** Where the middle of all that moves lies, along x or y. */
function busiest({moving, width, height}, along) {
  let [sum, weighted] = [1e-9, 0.5e-9];
  for (let y = 0; y < height; y += 4) {
    for (let x = 0; x < width; x += 4) {
      const moves = moving[y * width + x];
      sum += moves;
      weighted += moves * (along ? (x + 0.5) / width : (y + 0.5) / height);
    }
  }
  return Math.round(100 * weighted / sum) / 100;
}
