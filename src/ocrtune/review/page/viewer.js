// A picture that can be zoomed and moved.

const MOST_ENLARGED = 2.4; // a small line is not blown up to the whole window
const LARGEST = 12;
const STEP = 1.3;
const SVG = "http://www.w3.org/2000/svg";
const LINE_SHAPE = 2.2; // wider than this many times its height, a picture is a line

export class Viewer {
  constructor(viewport, image, boxes, zoom, onShape) {
    this.viewport = viewport;
    this.image = image;
    this.boxes = boxes;
    this.zoom = zoom;
    this.onShape = onShape;
    this.size = null;
    this.scale = 1;
    this.x = this.y = 0;
    this.fitted = true;
    this.drag = null;
    image.addEventListener("load", () => (image.style.visibility = "visible"));
    viewport.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    viewport.addEventListener("pointerdown", (event) => this.onDown(event));
    viewport.addEventListener("pointermove", (event) => this.onMove(event));
    for (const name of ["pointerup", "pointercancel"]) viewport.addEventListener(name, () => this.onUp());
    viewport.addEventListener("dblclick", (event) => this.onDouble(event));
    viewport.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.fitted && this.fit()).observe(viewport);
  }

  // size: [width, height] of the picture on disk; address: gives the url for "view" or "full".
  show(size, address) {
    this.size = size;
    this.address = address;
    this.detail = "view";
    this.image.style.visibility = "hidden";
    this.image.src = address("view");
    const isLine = size[0] / size[1] > LINE_SHAPE;
    this.onShape(isLine ? "line" : "page");
    this.viewport.style.setProperty("--line-height", `${this.lineHeight(size)}px`);
    this.fit();
  }

  // found: [{ box: [left, top, right, bottom] in pixels, label }] of the picture shown; it moves with it.
  drawBoxes(found) {
    this.boxes.replaceChildren(...found.map(drawBox));
    if (this.size) this.boxes.setAttribute("viewBox", `0 0 ${this.size[0]} ${this.size[1]}`);
  }

  clear() {
    this.size = null;
    this.boxes.replaceChildren();
    this.image.removeAttribute("src");
    this.image.style.visibility = "hidden";
  }

  lineHeight([width, height]) {
    const scale = Math.min((this.viewport.clientWidth - 32) / width, MOST_ENLARGED);
    return Math.round(Math.max(96, Math.min(scale * height + 48, window.innerHeight * 0.4)));
  }

  fit() {
    if (!this.size) return;
    const { clientWidth, clientHeight } = this.viewport;
    const [width, height] = this.size;
    this.scale = Math.max(0.01, Math.min((clientWidth - 24) / width, (clientHeight - 24) / height, MOST_ENLARGED));
    this.x = (clientWidth - width * this.scale) / 2;
    this.y = (clientHeight - height * this.scale) / 2;
    this.fitted = true;
    this.place();
  }

  zoomBy(factor, at = null) {
    if (!this.size) return;
    const { clientWidth, clientHeight } = this.viewport;
    const [px, py] = at ?? [clientWidth / 2, clientHeight / 2];
    const scale = Math.max(0.03, Math.min(this.scale * factor, LARGEST));
    this.x = px - ((px - this.x) * scale) / this.scale;
    this.y = py - ((py - this.y) * scale) / this.scale;
    this.scale = scale;
    this.fitted = false;
    this.place();
  }

  moveBy(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.fitted = false;
    this.place();
  }

  place() {
    const { clientWidth, clientHeight } = this.viewport;
    const [width, height] = this.size.map((side) => side * this.scale);
    // A corner of the picture always stays in sight.
    this.x = Math.max(60 - width, Math.min(this.x, clientWidth - 60));
    this.y = Math.max(40 - height, Math.min(this.y, clientHeight - 40));
    const placed = { width: `${width}px`, height: `${height}px`, transform: `translate(${this.x}px, ${this.y}px)` };
    Object.assign(this.image.style, placed);
    Object.assign(this.boxes.style, placed);
    this.zoom.textContent = this.fitted ? "fit" : `${Math.round(this.scale * 100)} %`;
    const shown = Math.max(width, height) * devicePixelRatio;
    if (this.detail === "view" && Math.max(...this.size) > 2000 && shown > 2000) {
      this.detail = "full";
      this.image.src = this.address("full"); // the browser keeps the old one until it has come
    }
  }

  at(event) {
    const box = this.viewport.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  onWheel(event) {
    if (!this.size) return;
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    this.zoomBy(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0016)), this.at(event));
  }

  onDown(event) {
    if (!this.size || event.button !== 0) return;
    this.drag = [event.clientX, event.clientY];
    this.viewport.setPointerCapture(event.pointerId);
    this.viewport.dataset.dragging = "";
  }

  onMove(event) {
    if (!this.drag) return;
    this.moveBy(event.clientX - this.drag[0], event.clientY - this.drag[1]);
    this.drag = [event.clientX, event.clientY];
  }

  onUp() {
    this.drag = null;
    delete this.viewport.dataset.dragging;
  }

  onDouble(event) {
    if (this.fitted) this.zoomBy(2.5, this.at(event));
    else this.fit();
  }

  onKey(event) {
    const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    if (!this.size || this.fitted || !(event.key in moves) || event.altKey || event.ctrlKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.moveBy(...moves[event.key]);
  }

  larger() {
    this.zoomBy(STEP);
  }

  smaller() {
    this.zoomBy(1 / STEP);
  }
}

function drawBox({ box: [left, top, right, bottom], label }) {
  const rectangle = document.createElementNS(SVG, "rect");
  const sides = { x: left, y: top, width: right - left, height: bottom - top };
  for (const [name, value] of Object.entries(sides)) rectangle.setAttribute(name, value);
  if (label) rectangle.append(Object.assign(document.createElementNS(SVG, "title"), { textContent: label }));
  return rectangle;
}
