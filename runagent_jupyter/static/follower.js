// Scrolling: follows the text while the reader is at its end, and waits while they are not.

const NEAR = 40; // pixels from the end that count as the end

export class Follower {
  isAtEnd = true;
  seen = { scrollTop: 0, scrollHeight: 0 }; // the position at the last scroll event

  /**
   * @param {HTMLElement} log The element that scrolls.
   * @param {HTMLElement} latest The button that leads to the end.
   */
  constructor(log, latest) {
    this.log = log;
    this.latest = latest;
    log.onscroll = () => {
      this.follow(log.scrollTop < this.seen.scrollTop && log.scrollHeight >= this.seen.scrollHeight);
    };
    // Readers who unfold something want to look at it.
    log.onclick = ({ target }) => {
      if (target.closest("summary")) this.isAtEnd = false;
    };
    log.addEventListener("toggle", () => this.follow(false), true);
    log.addEventListener("wheel", ({ deltaY }) => deltaY < 0 && this.unfollow(), { passive: true });
    // The log has no size before it is in the page, nor while a tab hides it.
    this.resized = new ResizeObserver(() => this.isAtEnd && this.toEnd());
    this.resized.observe(log);
  }

  /** Scroll to the end, and follow it from now on. */
  toEnd() {
    this.isAtEnd = true;
    this.log.scrollTop = this.log.scrollHeight;
    this.latest.hidden = true;
  }

  /** Scroll to the end if the reader is there; otherwise offer to. Called when the text has grown. */
  keepUp() {
    if (this.isAtEnd) this.toEnd();
    else this.latest.hidden = this.log.scrollHeight - this.log.clientHeight < NEAR;
  }

  /**
   * Find out whether the reader is at the end.
   * @param {boolean} hasGoneUp Whether the reader has just scrolled up.
   */
  follow(hasGoneUp) {
    const { scrollTop, scrollHeight, clientHeight } = this.log;
    if (hasGoneUp) this.isAtEnd = false;
    else if (scrollHeight - scrollTop - clientHeight < NEAR) this.isAtEnd = true;
    this.latest.hidden = this.isAtEnd || scrollHeight - clientHeight < NEAR;
    this.seen = { scrollTop, scrollHeight };
  }

  /** Stop following, because the reader is about to scroll up. */
  unfollow() {
    if (this.log.scrollTop) this.isAtEnd = false;
  }

  /** Stop observing the log. */
  disconnect() {
    this.resized.disconnect();
  }
}
