// A thin layer over WebGL2: shader programs, textures and render targets.

/** Why a loop cannot be played, in one sentence. */
export class PlayerError extends Error {
  name = "PlayerError";
}

const VERTICES = `#version 300 es
void main() {  // one triangle over everything
  gl_Position = vec4(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0, 0, 1);
}`;

const HEAD = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
precision highp sampler2DArray;
`;

const BYTES = {R8: "RED", RGB8: "RGB", RGBA8: "RGBA"};
const FLOATS = {R16F: "RED", R32F: "RED", RG32F: "RG"};  // the others are RGBA

/** A WebGL2 context that uploads images without conversion. Throws PlayerError. */
export function createContext(canvas) {
  const gl = canvas.getContext("webgl2", {alpha: false, antialias: false, depth: false});
  if (!gl) {
    throw new PlayerError("This browser has no WebGL2, so the photo cannot move here; try another browser or device.");
  }
  if (!gl.getExtension("EXT_color_buffer_float")) {
    throw new PlayerError("This device cannot render to float textures, so the photo cannot move here;"
      + " try another one.");
  }
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, false);
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
  return gl;
}

/** A fragment shader that fills a rectangle. */
export class Program {
  constructor(gl, fragment, vertices = VERTICES) {
    this.gl = gl;
    this.program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, vertices], [gl.FRAGMENT_SHADER, HEAD + fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(this.program, shader);
      gl.deleteShader(shader);
    }
    gl.linkProgram(this.program);
  }

  /**
   * Draws a part, {top, width, rows}, or else all of a target, or of the canvas if it is null. values: of the uniforms
   * by name: numbers, arrays and textures.
   */
  draw(target, values, part) {
    this.prepare(target, values, part);
    this.gl.drawArrays(this.gl.TRIANGLES, 0, 3);
  }

  /** Draws a part of the canvas, or all of it, over what is there, as much as its alpha says. */
  blend(values, part) {
    const {gl} = this;
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
    this.draw(null, values, part);
    gl.disable(gl.BLEND);
  }

  /** Sets everything that a draw call needs. */
  prepare(target, values, {top = 0, width = null, rows = null} = {}) {
    const gl = this.gl;
    this.uniforms ??= this.#uniforms();
    gl.useProgram(this.program);
    gl.bindFramebuffer(gl.FRAMEBUFFER, target && target.framebuffer);
    width ??= target?.width ?? gl.drawingBufferWidth;
    rows ??= target?.height ?? gl.drawingBufferHeight;
    gl.viewport(0, top, width, rows);
    let unit = 0;
    for (const [name, {location, type}] of Object.entries(this.uniforms)) {
      const value = values[name];
      if (value === undefined) throw new Error(`there is no value for ${name}`);
      const list = typeof value === "number" ? [value] : value;
      if (type === gl.FLOAT) gl.uniform1fv(location, list);
      else if (type === gl.FLOAT_VEC2) gl.uniform2fv(location, list);
      else if (type === gl.FLOAT_VEC3) gl.uniform3fv(location, list);
      else if (type === gl.INT) gl.uniform1iv(location, list);
      else if (type === gl.INT_VEC2) gl.uniform2iv(location, list);
      else {
        gl.activeTexture(gl.TEXTURE0 + unit);
        gl.bindTexture(type === gl.SAMPLER_2D ? gl.TEXTURE_2D : gl.TEXTURE_2D_ARRAY, value.texture);
        gl.uniform1i(location, unit++);
      }
    }
  }

  #uniforms() {
    const gl = this.gl;
    if (!gl.getProgramParameter(this.program, gl.LINK_STATUS) && !gl.isContextLost()) {
      const [, shader] = gl.getAttachedShaders(this.program);
      throw new Error(gl.getShaderInfoLog(shader) || gl.getProgramInfoLog(this.program));
    }
    const count = gl.getProgramParameter(this.program, gl.ACTIVE_UNIFORMS);
    const all = Array.from({length: count}, (_, i) => gl.getActiveUniform(this.program, i));
    return Object.fromEntries(all.map(({name, type}) =>
      [name.replace("[0]", ""), {location: gl.getUniformLocation(this.program, name), type}]));
  }

  dispose() { this.gl.deleteProgram(this.program); }
}

/** Many small rectangles, for each of which the vertex shader has some numbers: a vec4, and those that are left. */
export class SpriteProgram extends Program {
  constructor(gl, vertices, fragment, numbers) {
    super(gl, fragment, vertices);
    Object.assign(this, {numbers, buffer: gl.createBuffer(), arrays: gl.createVertexArray()});
    gl.bindVertexArray(this.arrays);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    [[4, 0], [numbers - 4, 16]].forEach(([size, offset], place) => {
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, size, gl.FLOAT, false, 4 * numbers, offset);
      gl.vertexAttribDivisor(place, 1);
    });
    gl.bindVertexArray(null);
  }

  /** Fills a part of a target with 1, multiplied by what the fragment shader gives for each sprite there. */
  multiply(target, sprites, values, part) {
    const gl = this.gl;
    this.prepare(target, values, part);
    gl.clearBufferfv(gl.COLOR, 0, [1, 1, 1, 1]);
    gl.bindVertexArray(this.arrays);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    gl.bufferData(gl.ARRAY_BUFFER, sprites, gl.DYNAMIC_DRAW);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ZERO, gl.SRC_COLOR);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, sprites.length / this.numbers);
    gl.disable(gl.BLEND);
    gl.bindVertexArray(null);
  }

  dispose() {
    super.dispose();
    this.gl.deleteBuffer(this.buffer);
    this.gl.deleteVertexArray(this.arrays);
  }
}

/** A texture of a format like "RGBA32F"; content: an array or an ImageBitmap. halved: with half its size as level 1. */
export class Texture {
  constructor(gl, format, width, height, content = null, {filter = "NEAREST", layers = 0, halved = false} = {}) {
    Object.assign(this, {gl, format, width, height, layers, halved, texture: gl.createTexture()});
    const kind = layers ? gl.TEXTURE_2D_ARRAY : gl.TEXTURE_2D;
    gl.bindTexture(kind, this.texture);
    gl.texParameteri(kind, gl.TEXTURE_MIN_FILTER, gl[halved ? `${filter}_MIPMAP_NEAREST` : filter]);
    gl.texParameteri(kind, gl.TEXTURE_MAG_FILTER, gl[filter]);
    for (const name of ["TEXTURE_WRAP_S", "TEXTURE_WRAP_T"]) gl.texParameteri(kind, gl[name], gl.CLAMP_TO_EDGE);
    if (layers) gl.texStorage3D(kind, 1, gl[format], width, height, layers);
    else gl.texStorage2D(kind, halved ? 2 : 1, gl[format], width, height);
    try {
      if (content !== null) this.write(content);
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** Replaces everything. */
  write(content) {
    const {gl, format, width, height, layers} = this, kind = layers ? gl.TEXTURE_2D_ARRAY : gl.TEXTURE_2D;
    const [order, type] = format in BYTES ? [gl[BYTES[format]], gl.UNSIGNED_BYTE] :
      [gl[FLOATS[format] ?? "RGBA"], gl.FLOAT];
    gl.bindTexture(kind, this.texture);
    if (layers) gl.texSubImage3D(kind, 0, 0, 0, 0, width, height, layers, order, type, content);
    else if (ArrayBuffer.isView(content)) gl.texSubImage2D(kind, 0, 0, 0, width, height, order, type, content);
    else gl.texSubImage2D(kind, 0, 0, 0, order, type, content);
    if (this.halved) gl.generateMipmap(kind);
  }

  dispose() { this.gl.deleteTexture(this.texture); }
}

/** Textures of the same size that are rendered to together; `texture` is the first. */
export class Target {
  constructor(gl, width, height, {format = "RGBA32F", filter = "NEAREST", count = 1} = {}) {
    Object.assign(this, {gl, width, height, framebuffer: gl.createFramebuffer()});
    this.textures = Array.from({length: count}, () => new Texture(gl, format, width, height, null, {filter}));
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.framebuffer);
    const attachments = this.textures.map((target, i) => {
      gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0 + i, gl.TEXTURE_2D, target.texture, 0);
      return gl.COLOR_ATTACHMENT0 + i;
    });
    gl.drawBuffers(attachments);
    const state = gl.checkFramebufferStatus(gl.FRAMEBUFFER);
    if (state !== gl.FRAMEBUFFER_COMPLETE && !gl.isContextLost()) {
      this.dispose();
      throw new PlayerError("This device has too little graphics memory for the photo at this size;"
        + " choose a smaller one.");
    }
  }

  get texture() { return this.textures[0].texture; }

  dispose() {
    this.gl.deleteFramebuffer(this.framebuffer);
    for (const texture of this.textures) texture.dispose();
  }
}
