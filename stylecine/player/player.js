// Plays a loop in a canvas: Player.create(canvas), load(pack), play(). docs/player.md has the whole of it.

import {clothPictures} from "./cloth.js";
import {PlayerError, Program, contextOf} from "./gl.js";
import {Loop} from "./loop.js";
import {mapsOf} from "./maps.js";
import {unpacked} from "./pack.js";
import {Plate} from "./plate.js";
import {SHADERS} from "./shaders.js";

export {PlayerError};

export class Player {
  /** A player that draws into `canvas`, which it sizes. Throws PlayerError where the browser cannot do it. */
  static async create(canvas) { return new Player(canvas); }

  width = 0;
  height = 0;
  period = 1;  // frames
  fps = 30;
  time = 0;  // of the frame that is shown, in frames
  maps = null;  // what is known of the loop, to be drawn over it; docs/player.md
  onframe = null;  // called with the time of every frame that has been drawn
  onerror = null;  // called with a PlayerError where the graphics came back and the loop did not
  #canvas; #gl; #programs;
  #loop = null;
  #given = null;  // the last pack, for graphics that are lost and come back
  #loads = 0;
  #handle = 0;
  #before = null;  // when the last frame was drawn, in milliseconds
  #heard = new AbortController();

  constructor(canvas) {
    this.#canvas = canvas;
    this.#start();
    const until = {signal: this.#heard.signal};
    canvas.addEventListener("webglcontextlost", event => event.preventDefault(), until);
    canvas.addEventListener("webglcontextrestored", () => this.#restore(), until);
    document.addEventListener("visibilitychange", () => { this.#before = null; }, until);
  }

  /**
   * Takes a pack (ArrayBuffer) and draws the same part of the loop of it; what has not changed is used again. `photo`:
   * its Blob, for a pack that has none. Of calls that overtake each other the last counts. Throws PlayerError.
   */
  async load(pack, photo = null) {
    const {facts, tensors} = unpacked(pack);
    await this.#take({facts, tensors, photo: photo ?? new Blob([tensors.photo.data], {type: facts.picture})});
  }

  /** Draws a moment of a loop that nobody keeps, {facts, tensors, photo}, so that all is ready for one that matters. */
  async rehearse(given) {
    const loads = this.#loads, plate = await Plate.of(this.#gl, this.#programs, given);
    const loop = new Loop(this.#gl, this.#programs, plate, [], given);
    if (loads === this.#loads) loop.draw(given.facts.period / 2);
    loop.dispose();
  }

  /** Draws frame t, any real number; frame `period` is frame 0. */
  render(t) {
    this.time = t - Math.floor(t / this.period) * this.period;
    if (!this.#loop || this.#gl.isContextLost()) return;
    this.#loop.draw(this.time);
    this.onframe?.(this.time);
  }

  seek(t) { this.render(t); }

  get playing() { return this.#handle !== 0; }

  play() {
    if (this.playing) return;
    this.#before = null;
    const next = now => {
      this.#handle = requestAnimationFrame(next);
      const passed = now - (this.#before ?? now);
      this.#before = now;
      this.render(this.time + passed / 1000 * this.fps);
    };
    this.#handle = requestAnimationFrame(next);
  }

  pause() {
    cancelAnimationFrame(this.#handle);
    this.#handle = 0;
  }

  /** Gives back all that it holds of the graphics. */
  dispose() {
    this.pause();
    this.#heard.abort();
    this.#loads++;
    this.#loop?.dispose();
    this.#loop = this.#given = null;
    for (const program of Object.values(this.#programs)) program.dispose();
  }

  async #take(given) {
    const {facts} = given, gl = this.#gl, mine = ++this.#loads;
    const most = gl.getParameter(gl.MAX_TEXTURE_SIZE) ?? Infinity;  // null: lost graphics tell nothing
    const side = Math.max(facts.width, facts.height);
    const longest = facts.turns ? 2 * (side + 2 * facts.margin) : side;
    if (longest > most) {
      throw new PlayerError(`This loop needs textures of ${longest} pixels a side, and this device's graphics has them`
        + ` up to ${most}; ask for a smaller one.`);
    }
    this.#given = given;
    if (gl.isContextLost()) return this.#know(given);  // it is drawn once they are back
    const same = this.#loop?.plate.digest === facts.plate;
    const plate = same ? this.#loop.plate : await Plate.of(gl, this.#programs, given);
    const pictures = await clothPictures(given);
    if (mine !== this.#loads) {
      if (!same) plate.dispose();
      return;
    }
    this.#loop?.dispose(plate);
    this.#loop = new Loop(gl, this.#programs, plate, pictures, given);
    for (const picture of pictures) picture.close();
    this.#know(given);
    this.render(this.time);
  }

  /** What can be told of a loop without its being drawn. */
  #know({facts, tensors}) {
    this.#canvas.width = this.width = facts.width;
    this.#canvas.height = this.height = facts.height;
    this.time *= facts.period / this.period;
    this.period = facts.period;
    this.fps = facts.fps;
    this.maps = mapsOf(facts, tensors);
  }

  #start() {
    this.#gl = contextOf(this.#canvas);
    const sources = Object.entries(SHADERS);
    this.#programs = Object.fromEntries(sources.map(([name, source]) => [name, new Program(this.#gl, source)]));
  }

  async #restore() {
    this.#loop = null;
    try {
      this.#start();
      if (this.#given) await this.#take(this.#given);
    } catch (error) {
      this.onerror?.(error);
    }
  }
}
