// What can be exported, and what the service is told for it; docs/formats.md has the reasons.

const videos = (small, good, best) => ({small, good, best});

/** `most`: short side unless asked for. `fastest`: frames a second that it can hold. `quality`: by choice; null where nothing is lost. */
export const FORMATS = [
  {id: "mp4", group: "Video", icon: "video", name: "MP4", hint: "Plays everywhere", repeats: true, codecs: [
    {id: "h264", name: "H.264, plays everywhere", quality: videos(23, 16, 10)},
    {id: "h265", name: "H.265, smaller; Apple and most phones", quality: videos(27, 20, 14)},
    {id: "av1", name: "AV1, smallest; new browsers", quality: videos(38, 28, 20)},
  ]},
  {id: "webm", group: "Video", icon: "video", name: "WebM", hint: "For web pages", repeats: true, codecs: [
    {id: "vp9", name: "VP9, all browsers", quality: videos(34, 24, 16)},
    {id: "av1", name: "AV1, smallest; new browsers", quality: videos(38, 28, 20)},
  ]},
  {id: "html", group: "To embed", icon: "page", name: "Web page", hint: "A file to embed", quality: videos(75, undefined, 97)},
  {id: "gif", group: "Picture that plays", icon: "picture", name: "GIF", hint: "Works in any chat", most: 384, fastest: 50, quality: videos(60, 80, 100)},
  {id: "webp", group: "Picture that plays", icon: "picture", name: "WebP", hint: "Smaller than GIF", most: 512, quality: videos(60, 80, 95)},
  {id: "avif", group: "Picture that plays", icon: "picture", name: "AVIF", hint: "Smallest of all", most: 768, quality: videos(38, 28, 18)},
  {id: "apng", group: "Picture that plays", icon: "picture", name: "APNG", hint: "Lossless, large", most: 512, quality: null},
  {id: "png", group: "For other programs", icon: "photo", name: "PNG", hint: "The first frame", still: true, quality: null},
  {id: "zip", group: "For other programs", icon: "frames", name: "Frames", hint: "A zip of PNGs", quality: null},
];

export const SHAPES = {"": "As the photo", "1:1": "Square, 1:1", "4:5": "Portrait, 4:5", "9:16": "Upright, 9:16", "16:9": "Wide, 16:9"};
export const QUALITIES = {small: "Smaller file", good: "Good", best: "Best"};
export const STAGES = {
  queued: "Waiting for its turn",
  motion: "Working out the motion",
  plate: "Filling in what lies behind",
  loop: "Closing the loop",
  cloth: "Hanging the cloth in the wind",
  video: "Drawing and writing the frames",
  done: "Done",
};
