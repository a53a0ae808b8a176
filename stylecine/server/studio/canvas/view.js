// How the picture lies on the stage: fitted, zoomed, moved. Fractions of the picture to places of the screen and back.

const MOST = 12;  // times as large as it fits

export class View {
  zoom = 1;
  #stage = {width: 1, height: 1, padding: 0};
  #picture = {width: 1, height: 1};
  #middle = [0.5, 0.5];  // the fraction of the picture that lies in the stage's middle

  /** Sizes of the stage, in CSS pixels, and of the picture, in its own. */
  measure(stage, picture) {
    this.#stage = stage;
    this.#picture = picture;
    this.#keep();
  }

  /** The picture's place on the stage in CSS pixels. */
  get place() {
    const {width, height} = this.#stage;
    const scale = this.fitted * this.zoom;
    const size = {width: this.#picture.width * scale, height: this.#picture.height * scale};
    return {left: width / 2 - this.#middle[0] * size.width, top: height / 2 - this.#middle[1] * size.height, ...size};
  }

  /** CSS pixels for each of the picture's, when it fits. */
  get fitted() {
    const {width, height, padding} = this.#stage;
    const across = Math.max(40, width - 2 * padding) / this.#picture.width;
    return Math.min(across, Math.max(40, height - 2 * padding) / this.#picture.height);
  }

  /** CSS pixels of the picture's short side: what radii are fractions of. */
  get short() {
    const {width, height} = this.place;
    return Math.min(width, height);
  }

  fraction([x, y]) {
    const {left, top, width, height} = this.place;
    return [(x - left) / width, (y - top) / height];
  }

  point([x, y]) {
    const {left, top, width, height} = this.place;
    return [left + x * width, top + y * height];
  }

  /** Zooms by a factor; what lies at a place of the stage stays there. */
  zoomAt(factor, at = [this.#stage.width / 2, this.#stage.height / 2]) {
    const held = this.fraction(at);
    this.zoom = Math.min(MOST, Math.max(1, this.zoom * factor));
    const {width, height} = this.place;
    this.#middle = [held[0] + (this.#stage.width / 2 - at[0]) / width, held[1] + (this.#stage.height / 2 - at[1]) / height];
    this.#keep();
  }

  moveBy(x, y) {
    const {width, height} = this.place;
    this.#middle = [this.#middle[0] - x / width, this.#middle[1] - y / height];
    this.#keep();
  }

  /** Moves just so far that a fraction of the picture can be seen. */
  reveal([x, y]) {
    const [left, top] = this.point([x, y]);
    const edge = 40;
    const over = (at, size) => Math.min(0, size - edge - at) + Math.max(0, edge - at);
    if (this.zoom > 1) this.moveBy(over(left, this.#stage.width), over(top, this.#stage.height));
  }

  fit() {
    this.zoom = 1;
    this.#keep();
  }

  /** No more empty stage than when it fits. */
  #keep() {
    const {width, height} = this.place;
    const sides = [[this.#stage.width, width], [this.#stage.height, height]];
    this.#middle = this.#middle.map((middle, axis) => {
      const [stage, picture] = sides[axis];
      const room = Math.max(0, (picture - stage) / 2 + this.#stage.padding) / picture;
      return this.zoom === 1 || picture <= stage ? 0.5 : Math.min(0.5 + room, Math.max(0.5 - room, middle));
    });
  }
}
