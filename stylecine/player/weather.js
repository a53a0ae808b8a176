// Shows rain, snow and fog over finished frames, as cuda_ops/weather.h does.

import {SpriteProgram, Target, Texture} from "./gl.js";
import {dequantize} from "./pack.js";

const TURN = 2 * Math.PI;

export class Weather {
  /** facts, tensors, distance (an ImageBitmap): of one pack. */
  constructor(gl, programs, {width, height, period, weather}, tensors, distance) {
    const {grid: [gh, gw], step, ...shown} = weather;
    Object.assign(this, {gl, programs, width, height, period, ...shown});
    this.paths = tensors.paths.data;
    this.columns = tensors.paths.shape[1];
    this.waves = dequantize(tensors.waves.data, step);
    this.opacity = new Float32Array(gh * gw);
    this.veil = new Texture(gl, "R32F", gw, gh);
    this.distance = new Texture(gl, "R8", width, height, distance, {halved: true});
    this.through = new Target(gl, width, height, {format: "R16F"});
    this.streaks = new SpriteProgram(gl, STREAK_VERTICES, STREAK_PIXELS, 7);
    this.frame = new Target(gl, width, height, {format: "RGBA8"});  // to be drawn to; its rows count from the bottom
  }

  /** Draws `frame`, of a size, at time t into the canvas. share: how far the style has drifted, 0 to 1. */
  draw(t, share, size) {
    const {frame, through, veil, distance, colours: {veil: veils, falling}} = this, {mip} = size;
    this.#mixWaves(t);
    this.streaks.multiply(through, this.#streaks(t), {size: [size.width, size.rows], scale: 1 / (1 << mip)}, size);
    const mixed = ([own, other]) => own.map((value, c) => (value + (other[c] - value) * share) / 255);
    const colours = {veil_colour: mixed(veils), streak_colour: mixed(falling)};
    const values = {frame, through, veil, distance, ...colours, mip, size: [size.width, size.rows]};
    this.programs.WEATHER.draw(null, values, size);
  }

  dispose() {
    for (const part of [this.veil, this.distance, this.through, this.streaks, this.frame]) part.dispose();
  }

  #mixWaves(t) {
    const {waves, opacity, cycles, period} = this, points = opacity.length;
    const weights = [1, ...cycles.flatMap(n => [Math.cos(TURN * n * t / period), Math.sin(TURN * n * t / period)])];
    opacity.fill(0);
    weights.forEach((weight, k) => { for (let i = 0; i < points; i++) opacity[i] += weight * waves[k * points + i]; });
    this.veil.write(opacity.map(value => Math.min(Math.max(value, 0), 1)));
  }

  /** Those that are in the frame, as picture/weather.py computes them: x, y, the way to the end, radius, opacity, 0. */
  #streaks(t) {
    const {paths, columns, width, height, period, exposure} = this, found = [];
    for (let i = 0; i < paths.length; i += columns) {
      const [link, cycles, phase, start, way, top, fall, sway, turns, lag, radius, opacity] =
        paths.subarray(i, i + columns);
      const at = (cycles * t / period + phase) % 1 + link, rate = cycles * exposure / period;
      const y = top + fall * at, dy = -rate * fall;
      if (y + dy - radius > height || y + radius < -1) continue;
      const turn = TURN * (turns * at + lag), around = width - 2 * top, x = start + way * at + sway * Math.sin(turn) - top;
      const dx = -rate * (way + TURN * turns * sway * Math.cos(turn));
      found.push((x % around + around) % around + top, y, dx, dy, radius, opacity, 0);
    }
    return new Float32Array(found);
  }
}

const STREAK_VERTICES = `#version 300 es
layout(location = 0) in vec4 segment;
layout(location = 1) in vec3 shape;
uniform vec2 size;
uniform float scale;
flat out vec4 way;
flat out vec2 look;
out vec2 place;
void main() {  // a rectangle around the streak, in pixels of the frame, whose rows count from the bottom
  vec2 low = min(segment.xy, segment.xy + segment.zw) - shape.x - 1.0;
  vec2 high = max(segment.xy, segment.xy + segment.zw) + shape.x + 1.0;
  place = mix(low, high, vec2(gl_VertexID & 1, gl_VertexID >> 1));
  way = segment;
  look = shape.xy;
  vec2 on = (place + 0.5) * scale / size * 2.0 - 1.0;
  gl_Position = vec4(on.x, -on.y, 0, 1);
}`;

const STREAK_PIXELS = `
flat in vec4 way;
flat in vec2 look;
in vec2 place;
out vec4 through;
void main() {
  vec2 from = place - way.xy;
  float squared = dot(way.zw, way.zw), along = squared > 0.0 ? clamp(dot(from, way.zw) / squared, 0.0, 1.0) : 0.0;
  vec2 beside = from - along * way.zw;
  float inside = clamp(1.0 - dot(beside, beside) / (look.x * look.x), 0.0, 1.0);
  through = vec4(1.0 - look.y * inside * inside);
}`;
