// What the export dialog says; the formats themselves are in declared.js.

export const SHAPES = {
  "": "Original", "1:1": "Square, 1:1", "4:5": "Portrait, 4:5", "9:16": "Vertical, 9:16", "16:9": "Wide, 16:9",
};
export const QUALITIES = {small: "Smaller file", good: "Good", best: "Best"};
export const STAGES = {
  queued: "Waiting in line",
  motion: "Predicting the motion",
  plate: "Filling in the background",
  loop: "Closing the loop",
  cloth: "Animating the cloth",
  style: "Finding the style",
  video: "Rendering frames",
  done: "Done",
};
