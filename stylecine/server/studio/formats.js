// The export formats; docs/formats.md explains the numbers.

const qualities = (small, good, best) => ({small, good, best});
const AV1 = {id: "av1", name: "AV1, smallest; new browsers", quality: qualities(38, 28, 20)};
const VIDEO = {group: "Video", icon: "video", repeats: true};
const PAGE = {group: "To embed", icon: "page"};
const ANIMATION = {group: "Animated image", icon: "picture"};
const PHOTO = {group: "Photo that moves", icon: "photo", quality: qualities(23, 16, 10)};
const FRAMES = {group: "For other programs", quality: null};

/** `defaultSize`: of the short side. `maxRate`: frames a second. `quality`: null for lossless formats. */
export const FORMATS = [
  {...VIDEO, id: "mp4", name: "MP4", hint: "Plays everywhere", codecs: [
    {id: "h264", name: "H.264, plays everywhere", quality: qualities(23, 16, 10)},
    {id: "h265", name: "H.265, smaller; Apple and most phones", quality: qualities(27, 20, 14)},
    AV1,
  ]},
  {...VIDEO, id: "webm", name: "WebM", hint: "For web pages", codecs: [
    {id: "vp9", name: "VP9, all browsers", quality: qualities(34, 24, 16)},
    AV1,
  ]},
  {...PAGE, id: "html", name: "Web page", hint: "A file to embed", quality: qualities(75, undefined, 97)},
  {
    ...{...ANIMATION, id: "gif", name: "GIF", hint: "Works in any chat"},
    ...{defaultSize: 384, maxRate: 50, quality: qualities(60, 80, 100)},
  },
  {...ANIMATION, id: "webp", name: "WebP", hint: "Smaller than GIF", defaultSize: 512, quality: qualities(60, 80, 95)},
  {...ANIMATION, id: "avif", name: "AVIF", hint: "Smallest of all", defaultSize: 768, quality: qualities(38, 28, 18)},
  {...ANIMATION, id: "apng", name: "APNG", hint: "Lossless, large", defaultSize: 512, quality: null},
  {...PHOTO, id: "livephoto.zip", name: "Live Photo", hint: "For iPhone, zipped"},
  {...PHOTO, id: "MP.jpg", name: "Motion Photo", hint: "For Android"},
  {...FRAMES, id: "png", icon: "photo", name: "PNG", hint: "The first frame", still: true},
  {...FRAMES, id: "zip", icon: "frames", name: "Frames", hint: "PNGs in a zip file"},
];

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
