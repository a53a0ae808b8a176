// An overlay's fields over a gust.

/** RGBA of the whole grid for each keyframe, the first 0, from quantised differences along the rows of a part of it. */
export function decodeKeyframes({shape: [count, channels, rows, columns], data}, overlay) {
  const {grid: [gh, gw], at: [top, left], steps: [position, gain]} = overlay;
  const keyframes = new Float32Array((count + 1) * gh * gw * 4), step = [position, position, gain];
  const row = new Int16Array(columns);
  for (let line = 0; line < count * channels * rows; line++) {
    row.set(data.subarray(line * columns, (line + 1) * columns));
    for (let x = 1; x < columns; x++) row[x] += row[x - 1];
    const k = Math.floor(line / (channels * rows)) + 1, channel = Math.floor(line / rows) % channels;
    const first = ((k * gh + top + line % rows) * gw + left) * 4 + channel;
    for (let x = 0; x < columns; x++) keyframes[first + 4 * x] = row[x] * step[channel];
  }
  return keyframes;
}
