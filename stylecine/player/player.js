// Plays a loop in a canvas: Player.create(canvas), load(pack), play(). See docs/player.md.

import {PlayerError, Program, createContext} from "./gl.js";
import {Loop} from "./loop.js";
import {readMaps, turnedMaps} from "./maps.js";
import {decodeImages, readPack} from "./pack.js";
import {Plate} from "./plate.js";
import {SHADERS} from "./shaders.js";

export {PlayerError};

export class Player {
  /** A player that draws into `canvas` and sets its size. Throws PlayerError if the browser cannot. */
  static async create(canvas) { return new Player(canvas); }

  width = 0;
  height = 0;
  period = 1;  // frames
  fps = 30;
  rate = 1;  // of playing: 0.5 is half speed
  interval = 0;  // milliseconds at least between two frames while it plays; the first in another wind comes at once
  time = 0;  // of the current frame, in frames
  maps = null;  // maps of the loop for overlays; see docs/player.md
  onframe = null;  // called with the time of every frame drawn
  onerror = null;  // called with a PlayerError if the loop cannot be restored after the context was lost
  #canvas; #gl; #programs;
  #loop = null;
  #pack = null;  // the last one, in the last wind, to be restored after the context was lost
  #loads = 0;
  #loaded = 0;  // the load that #loop is of
  #handle = 0;
  #styleStrength = null;
  #halfSize = false;
  #lastTime = null;  // when the last frame was drawn, in milliseconds
  #listeners = new AbortController();

  constructor(canvas) {
    this.#canvas = canvas;
    this.#start();
    const options = {signal: this.#listeners.signal};
    canvas.addEventListener("webglcontextlost", event => event.preventDefault(), options);
    canvas.addEventListener("webglcontextrestored", () => this.#restore(), options);
    document.addEventListener("visibilitychange", () => { this.#lastTime = null; }, options);
  }

  /**
   * Loads a pack (ArrayBuffer) and stays at the same phase of the loop; an unchanged plate is reused. `photo`: a Blob,
   * for a pack without a photo. Of overlapping calls only the last one takes effect. Throws PlayerError.
   */
  async load(pack, photo = null) {
    const {facts, tensors} = readPack(pack);
    const own = tensors.photo && new Blob([tensors.photo.data], {type: facts.picture});
    await this.#use({facts, tensors, photo: own ?? photo});
  }

  /**
   * Moves what a wind pack (ArrayBuffer) of the loaded pack's loop has as another wind does, and stays at the same
   * phase. Throws PlayerError.
   */
  loadWind(pack) {
    const wind = readPack(pack), loaded = this.#pack;
    if (!loaded || !turns(wind, loaded)) throw new PlayerError("This wind is not of this loop.");
    const {facts, tensors} = loaded, scales = {...facts.scales, ...wind.facts.scales};
    const overlays = wind.facts.overlays.length ? wind.facts.overlays : facts.overlays;
    this.#pack = {...loaded, facts: {...facts, overlays, scales}, tensors: {...tensors, ...wind.tensors}};
    if (this.#loaded !== this.#loads) return;  // the loop that is being loaded will move so
    this.maps = {...this.maps, ...turnedMaps(this.#pack, wind)};
    if (!this.#gl.isContextLost()) this.#loop?.move(wind, this.#pack, Number(this.#halfSize));
    if (!this.playing) this.render(this.time);
    else if (this.interval) this.#playOn(document.timeline.currentTime);
  }

  /** Draws one frame of a small loop, {facts, tensors, photo}, and discards it, so that those of landscapes are compiled. */
  async warmUp(pack) {
    const loads = this.#loads, plate = await Plate.create(this.#gl, this.#programs, pack);
    const loop = new Loop(this.#gl, this.#programs, plate, {}, pack);
    if (loads === this.#loads) loop.draw(pack.facts.period / 2);
    loop.dispose();
  }

  /** Draws frame t, any real number; frame `period` is frame 0. */
  render(t) {
    this.time = t - Math.floor(t / this.period) * this.period;
    if (!this.#loop || this.#gl.isContextLost()) return;
    this.#loop.draw(this.time, this.#styleStrength, Number(this.#halfSize));
    this.onframe?.(this.time);
  }

  /** Resolves when everything that has been drawn so far is there, or cannot be any more. */
  async drawn() {
    const gl = this.#gl, fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    while (fence && !gl.isContextLost() && gl.getSyncParameter(fence, gl.SYNC_STATUS) !== gl.SIGNALED) {
      await new Promise(done => setTimeout(done, 4));
    }
    gl.deleteSync(fence);
  }

  seek(t) { this.render(t); }

  /** Of the style, 0 to 1, in whatever is loaded; null: the pack's own. */
  get styleStrength() { return this.#styleStrength; }
  set styleStrength(strength) {
    this.#styleStrength = strength;
    if (!this.playing) this.render(this.time);
  }

  /** Whether frames, and the canvas, have half as many pixels a side. */
  get halfSize() { return this.#halfSize; }
  set halfSize(half) {
    if (half === this.#halfSize) return;
    this.#halfSize = half;
    this.#resizeCanvas();
    this.render(this.time);  // at once, as a new size empties the canvas
  }

  get playing() { return this.#handle !== 0; }

  play() {
    if (this.playing) return;
    this.#lastTime = null;
    const next = now => {
      this.#handle = requestAnimationFrame(next);
      if (this.#lastTime === null || now - this.#lastTime >= this.interval) this.#playOn(now);
    };
    this.#handle = requestAnimationFrame(next);
  }

  /** Draws the frame for a time of the page's animations, in milliseconds. */
  #playOn(now) {
    const passed = now - (this.#lastTime ?? now);
    this.#lastTime = now;
    this.render(this.time + passed / 1000 * this.fps * this.rate);
  }

  pause() {
    cancelAnimationFrame(this.#handle);
    this.#handle = 0;
  }

  /** Frees all GPU resources. */
  dispose() {
    this.pause();
    this.#listeners.abort();
    this.#loads++;
    this.#loop?.dispose();
    this.#loop = this.#pack = null;
    for (const program of Object.values(this.#programs)) program.dispose();
  }

  async #use(pack) {
    const {facts} = pack, gl = this.#gl, load = ++this.#loads;
    const limit = gl.getParameter(gl.MAX_TEXTURE_SIZE) ?? Infinity;  // null: the context is lost
    const side = Math.max(facts.width, facts.height);
    const longest = facts.sub_cycles ? 2 * (side + 2 * facts.margin) : side;
    if (longest > limit) {
      throw new PlayerError(`This loop needs textures of ${longest} pixels a side, and this device has only ${limit};`
        + " choose a smaller size.");
    }
    const before = this.#pack;
    this.#pack = pack;
    if (gl.isContextLost()) return this.#describe(load);  // it is drawn when the context is restored
    try {
      const loop = await this.#build(load);
      if (load !== this.#loads) return loop?.dispose(this.#loop?.plate);  // another pack has come
      this.#loop?.dispose(loop.plate);
      this.#loop = loop;
    } catch (error) {
      if (load === this.#loads) this.#pack = before;  // the loop before goes on
      throw error;
    }
    this.#describe(load);
    this.render(this.time);
  }

  /** The loop of the current pack, beside the one that is shown, whose plate it may share; null if it is out of date. */
  async #build(load) {
    const shown = this.#loop?.plate, same = shown?.digest === this.#pack.facts.plate_digest;
    const plate = same ? shown : await Plate.create(this.#gl, this.#programs, this.#pack);
    let images = {}, loop = null;
    try {
      images = await decodeImages(this.#pack);
      if (load === this.#loads) loop = new Loop(this.#gl, this.#programs, plate, images, this.#pack);
      return loop;
    } finally {
      for (const image of Object.values(images)) image.close();
      if (!loop && !same) plate.dispose();
    }
  }

  /** Sets the public properties of the loop that has been loaded. */
  #describe(load) {
    const {facts, tensors} = this.#pack;
    this.#loaded = load;
    [this.width, this.height] = [facts.width, facts.height];
    this.#resizeCanvas();
    this.time *= facts.period / this.period;
    this.period = facts.period;
    this.fps = facts.fps;
    this.maps = readMaps(facts, tensors);
  }

  #resizeCanvas() {
    if (!this.#pack) return;
    const mip = Number(this.#halfSize);
    [this.#canvas.width, this.#canvas.height] = [this.width >> mip, this.height >> mip];
  }

  #start() {
    this.#gl = createContext(this.#canvas);
    const sources = Object.entries(SHADERS);
    this.#programs = Object.fromEntries(sources.map(([name, source]) => [name, new Program(this.#gl, source)]));
  }

  async #restore() {
    this.#loop = null;
    try {
      this.#start();
      if (this.#pack) await this.#use(this.#pack);
    } catch (error) {
      this.onerror?.(error);
    }
  }
}

/** Whether a wind pack turns what a pack has: its landscape, or all of its overlays. */
function turns(wind, pack) {
  const kinds = ({facts}) => facts.overlays.map(({kind}) => kind).join();
  const {velocity} = wind.tensors, some = wind.facts.overlays.length > 0;
  return (velocity || some) && (!velocity || pack.tensors.velocity) && (!some || kinds(wind) === kinds(pack));
}
