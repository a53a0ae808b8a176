// Where nothing moves the photo itself is seen, beside the loop, which has fewer pixels.

import {$} from "../dom.js";
import {state, watch} from "../state.js";

const SHOWN = 0.25;  // of the loop's share in a pixel: with more the loop alone is seen

let shown = null;  // the maps that the mask is of
let address = null;  // of the mask

export function initStillPhoto() {
  watch(["maps", "scene"], update);
}

async function update() {
  const maps = canShowPhoto() ? state.maps : null;
  if (maps === shown) return;
  shown = maps;
  const mask = maps && URL.createObjectURL(await maskOf(maps));
  if (maps !== shown) return URL.revokeObjectURL(mask);  // another loop has come
  $("loop").style.maskImage = mask ? `url(${mask})` : "none";
  if (address) URL.revokeObjectURL(address);
  address = mask;
}

/** Not if all of the picture changes, nor with overlays, which leave their places. */
function canShowPhoto() {
  const {maps, scene} = state;
  return Boolean(maps?.moving) && !maps.everywhere && !maps.overlays.length && maps.width < scene.width;
}

/** An image, opaque where the loop moves. */
function maskOf({moving, width, height}) {
  const canvas = new OffscreenCanvas(width, height), context = canvas.getContext("2d", {willReadFrequently: true});
  const image = context.createImageData(width, height);
  for (let i = 0; i < moving.length; i++) image.data[4 * i + 3] = Math.min(255, moving[i] / SHOWN);
  context.putImageData(image, 0, 0);
  return canvas.convertToBlob();
}
