// The picture's place on the stage: fitted, zoomed, panned. Converts fractions of the picture to the stage and back.

import {clamp} from "../dom.js";

const MAX_ZOOM = 12;

export class Viewport {
  zoom = 1;
  #stage = {width: 1, height: 1, padding: 0};
  #picture = {width: 1, height: 1};
  #centre = [0.5, 0.5];  // the fraction of the picture in the middle of the stage

  /** Sizes of the stage, in CSS pixels, and of the picture, in its own. */
  measure(stage, picture) {
    this.#stage = stage;
    this.#picture = picture;
    this.#limit();
  }

  /** The picture's place on the stage, in CSS pixels. */
  get place() {
    const {width, height} = this.#stage;
    const scale = this.#fitScale * this.zoom;
    const size = {width: this.#picture.width * scale, height: this.#picture.height * scale};
    return {left: width / 2 - this.#centre[0] * size.width, top: height / 2 - this.#centre[1] * size.height, ...size};
  }

  get #fitScale() {
    const {width, height, padding} = this.#stage;
    const room = length => Math.max(40, length - 2 * padding);
    return Math.min(room(width) / this.#picture.width, room(height) / this.#picture.height);
  }

  /** The picture's short side in CSS pixels, which radii are fractions of. */
  get short() {
    const {width, height} = this.place;
    return Math.min(width, height);
  }

  toFraction([x, y]) {
    const {left, top, width, height} = this.place;
    return [(x - left) / width, (y - top) / height];
  }

  toStage([x, y]) {
    const {left, top, width, height} = this.place;
    return [left + x * width, top + y * height];
  }

  /** Zooms by a factor around a point of the stage. */
  zoomAt(factor, point = [this.#stage.width / 2, this.#stage.height / 2]) {
    const fixed = this.toFraction(point);
    this.zoom = clamp(this.zoom * factor, 1, MAX_ZOOM);
    const {width, height} = this.place;
    const offset = [(this.#stage.width / 2 - point[0]) / width, (this.#stage.height / 2 - point[1]) / height];
    this.#centre = [fixed[0] + offset[0], fixed[1] + offset[1]];
    this.#limit();
  }

  pan(x, y) {
    const {width, height} = this.place;
    this.#centre = [this.#centre[0] - x / width, this.#centre[1] - y / height];
    this.#limit();
  }

  /** Pans as little as needed to make a point of the picture visible. */
  reveal(fraction) {
    const [x, y] = this.toStage(fraction);
    const edge = 40;
    const shift = (at, size) => Math.min(0, size - edge - at) + Math.max(0, edge - at);
    if (this.zoom > 1) this.pan(shift(x, this.#stage.width), shift(y, this.#stage.height));
  }

  fit() {
    this.zoom = 1;
    this.#limit();
  }

  /** Limits panning, so that no more of the stage is empty than when the picture fits. */
  #limit() {
    const {width, height} = this.place;
    const axes = [[this.#stage.width, width], [this.#stage.height, height]];
    this.#centre = this.#centre.map((centre, axis) => {
      const [stage, picture] = axes[axis];
      const room = Math.max(0, (picture - stage) / 2 + this.#stage.padding) / picture;
      return this.zoom === 1 || picture <= stage ? 0.5 : clamp(centre, 0.5 - room, 0.5 + room);
    });
  }
}
