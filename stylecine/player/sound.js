// The sound of a loop, played in a circle: Web Audio repeats samples, where a media element would pause between files.

const SAMPLE_RATE = 48000;  // of the file: another one would be resampled, and not join
const FADE = 0.03;  // seconds in which it comes and goes, so that it does not click

export class Sound {
  #encoded; #context = null; #buffer = null; #wanted = 0;
  #playing = null;  // {source, gain}

  /** encoded: ArrayBuffer of an audio file of whole loops, without silence around it. */
  constructor(encoded) { this.#encoded = encoded; }

  /** Plays on from a time in seconds, until `stop`. The first call has to come from a click. */
  async start(seconds) {
    const wanted = ++this.#wanted, asked = performance.now();
    this.#context ??= new AudioContext({sampleRate: SAMPLE_RATE});
    this.#context.resume();
    this.#buffer ??= this.#context.decodeAudioData(this.#encoded);
    const buffer = await this.#buffer;
    if (wanted !== this.#wanted) return;
    this.#fadeOut();
    const source = new AudioBufferSourceNode(this.#context, {buffer, loop: true});
    const gain = new GainNode(this.#context, {gain: 0});
    source.connect(gain).connect(this.#context.destination);
    gain.gain.setTargetAtTime(1, this.#context.currentTime, FADE / 3);
    source.start(0, (seconds + (performance.now() - asked) / 1000) % buffer.duration);
    this.#playing = {source, gain};
  }

  stop() {
    this.#wanted++;
    this.#fadeOut();
  }

  #fadeOut() {
    if (!this.#playing) return;
    const {source, gain} = this.#playing, now = this.#context.currentTime;
    gain.gain.setTargetAtTime(0, now, FADE / 6);
    source.stop(now + FADE);
    this.#playing = null;
  }
}
