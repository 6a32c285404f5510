// The search runs in a worker, which browsers refuse to pages opened from a folder (file://): there, a hidden frame does its work.
if (location.protocol === "file:") {
  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.worker = this;
      const start = `
        self.postMessage = (data) => frameElement.worker.receive(data);
        self.importScripts = (...urls) => urls.reduce((before, url) => before.then(() => new Promise((done) => {
          const script = document.createElement("script");
          script.src = url;
          script.onload = done;
          document.body.append(script);
        })), Promise.resolve());`;
      this.ready = new Promise((done) => this.frame.addEventListener("load", done, { once: true }));
      this.frame.srcdoc = `<!doctype html><body><script>${start}<\/script><script src="${url}"><\/script></body>`;
      document.body.append(this.frame);
    }
    receive(data) {
      const event = new MessageEvent("message", { data });
      this.dispatchEvent(event);
      if (this.onmessage) this.onmessage(event);
    }
    postMessage(data) {
      this.ready.then(() => {
        const event = new MessageEvent("message", { data });
        this.frame.contentWindow.dispatchEvent(event);
      });
    }
    terminate() { this.frame.remove(); }
  };
}
