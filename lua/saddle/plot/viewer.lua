-- The viewer of plot/html.lua: JavaScript for a page that holds surfaces, no
-- libraries, WebGL 1. One call of saddleSurface(host, data) fills one element.
-- Heights in `data.h` are what is drawn (logarithms, when data.log is set),
-- null is a hole; x and y run over [-1, 1] and the height over [-0.5, 0.6] in
-- the viewer's own box, whose floor is at -0.8.

return [==[
function saddleSurface(host, data) {
  "use strict";
  const FLOOR = -0.8, LOW = -0.5, HIGH = 0.6, FAR = 5, HOME = [-0.6, 0.5, 1];
  const canvas = host.querySelector(".gl"), back = host.querySelector(".axes");
  const tip = host.querySelector(".tip"), dot = host.querySelector(".dot");
  const gl = canvas.getContext("webgl", { antialias: true });
  if (!gl || !gl.getExtension("OES_standard_derivatives")) {
    host.textContent = "This figure needs WebGL, which this browser lacks " +
      "or has turned off.";
    return;
  }
  const { x, y, h, range } = data, nx = x.length, ny = y.length;
  let [turn, tilt, zoom] = HOME;

  // Places in the box.
  const scale = (v, a, b, lo, hi) => lo + (hi - lo) * (v - a) / (b - a);
  const px = v => scale(v, x[0], x[nx - 1], -1, 1);
  const py = v => scale(v, y[0], y[ny - 1], -1, 1);
  const pz = v => scale(v, range[0], range[1], LOW, HIGH);
  const node = (i, j) => [px(x[j]), py(y[i]), pz(h[i][j])];
  const solid = (i, j) => h[i] && h[i][j] != null;

  // Slopes by central differences, one-sided at edges and holes.
  function normal(i, j) {
    const slope = (a, b, u, v, k) => {
      const p = solid(a, b) ? node(a, b) : node(i, j);
      const q = solid(u, v) ? node(u, v) : node(i, j);
      return q[k] === p[k] ? 0 : (q[2] - p[2]) / (q[k] - p[k]);
    };
    return [-slope(i, j - 1, i, j + 1, 0), -slope(i - 1, j, i + 1, j, 1), 1];
  }
  function mesh() {
    const out = [];
    const corner = (i, j) => out.push(...node(i, j), ...normal(i, j));
    for (let i = 0; i + 1 < ny; i++) for (let j = 0; j + 1 < nx; j++) {
      const a = [i, j], b = [i, j + 1], c = [i + 1, j + 1], d = [i + 1, j];
      if ([a, b, c, d].every(p => solid(...p)))
        for (const p of [a, b, c, a, c, d]) corner(...p);
    }
    return out;
  }
  // The path as a dense row of round points just above the surface.
  function trail() {
    const out = [], p = data.path;
    for (let k = 0; p && k + 1 < p.x.length; k++) {
      if (p.h[k] == null || p.h[k + 1] == null) continue;
      for (let t = 0; t < 1; t += 1 / 40) {
        const mix = a => a[k] + t * (a[k + 1] - a[k]);
        out.push(px(mix(p.x)), py(mix(p.y)), pz(mix(p.h)) + 0.012, 0, 0, 1);
      }
    }
    return out;
  }

  // Shaders: colour by height, light from above the viewer's left shoulder.
  const VERTEX = `
    attribute vec3 at, slope; uniform mat4 view; uniform float lying, size;
    varying float height; varying vec3 n;
    void main() {
      height = (at.z - (${LOW.toFixed(3)})) / ${(HIGH - LOW).toFixed(3)};
      n = slope; vec3 p = at; if (lying > 0.5) p.z = ${FLOOR.toFixed(3)};
      gl_Position = view * vec4(p, 1.0); gl_PointSize = size;
    }`;
  const FRAGMENT = `#extension GL_OES_standard_derivatives : enable
    precision highp float;
    uniform sampler2D map; uniform vec3 light, eye, ink;
    uniform float lying, size, low, gap;
    varying float height; varying vec3 n;
    void main() {
      if (size > 0.0) {
        if (length(gl_PointCoord - 0.5) > 0.5) discard;
        gl_FragColor = vec4(ink, 1.0); return;
      }
      vec3 c = texture2D(map, vec2(clamp(height, 0.0, 1.0), 0.5)).rgb;
      float level = (height + low) / gap, width = max(fwidth(level), 1e-6);
      float line = 1.0 - smoothstep(0.6, 1.6,
        abs(fract(level + 0.5) - 0.5) / width);
      if (lying > 0.5) {
        gl_FragColor = vec4(c, 1.0) * max(line, 0.12); return;
      }
      vec3 m = normalize(n); if (dot(m, eye) < 0.0) m = -m;
      float shine = pow(max(dot(m, normalize(light + eye)), 0.0), 40.0);
      c = c * (0.55 + 0.5 * max(dot(m, light), 0.0)) + 0.16 * shine;
      gl_FragColor = vec4(mix(c, vec3(0.08), 0.45 * line), 1.0);
    }`;
  const program = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX],
    [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  gl.useProgram(program);
  const place = name => gl.getUniformLocation(program, name);
  const set = (name, ...v) => gl["uniform" + v.length + "f"](place(name), ...v);
  function upload(numbers) {
    const buffer = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(numbers), gl.STATIC_DRAW);
    return { buffer, count: numbers.length / 6 };
  }
  const surface = upload(mesh()), path = upload(trail());
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, data.colors.length / 3, 1, 0,
    gl.RGB, gl.UNSIGNED_BYTE, new Uint8Array(data.colors));
  for (const [name, value] of [["MIN_FILTER", "LINEAR"], ["MAG_FILTER",
    "LINEAR"], ["WRAP_S", "CLAMP_TO_EDGE"], ["WRAP_T", "CLAMP_TO_EDGE"]])
    gl.texParameteri(gl.TEXTURE_2D, gl["TEXTURE_" + name], gl[value]);
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  const span = range[1] - range[0];
  set("gap", data.step / span);
  set("low", range[0] / span);
  gl.enable(gl.DEPTH_TEST);
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);

  // The camera: rows give right, up, depth and distance of a point.
  function camera() {
    const c = Math.cos(turn), s = Math.sin(turn);
    const u = Math.cos(tilt), v = Math.sin(tilt);
    const wide = canvas.width / canvas.height, f = 3 * zoom;
    const fx = f / Math.max(wide, 1.15), fy = fx * wide;
    return { rows: [
      [fx * c, -fx * s, 0, 0], [fy * v * s, fy * v * c, fy * u, 0.2 * fy],
      [1.2 * u * s, 1.2 * u * c, -1.2 * v, FAR - 3],
      [u * s, u * c, -v, FAR]], away: [u * s, u * c, -v] };
  }
  const dotted = (r, p) => r[0] * p[0] + r[1] * p[1] + r[2] * p[2] + r[3];
  function project(rows, p) {
    const w = dotted(rows[3], p);
    return [(dotted(rows[0], p) / w + 1) * back.clientWidth / 2,
      (1 - dotted(rows[1], p) / w) * back.clientHeight / 2, w];
  }

  // The box behind the surface: floor, two far walls, ticks and titles.
  function drawAxes(rows) {
    const g = back.getContext("2d"), style = getComputedStyle(host);
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, back.clientWidth, back.clientHeight);
    g.font = "12px system-ui, sans-serif";
    const at = (...p) => project(rows, p);
    function line(p, q, alpha) {
      g.globalAlpha = alpha; g.strokeStyle = style.color; g.beginPath();
      g.moveTo(p[0], p[1]); g.lineTo(q[0], q[1]); g.stroke();
      g.globalAlpha = 1;
    }
    // A text beyond p, on the way there from q.
    function label(text, p, q, away, bold) {
      const dx = p[0] - q[0], dy = p[1] - q[1], far = Math.hypot(dx, dy) || 1;
      g.fillStyle = style.color;
      g.font = (bold ? "600 13px" : "12px") + " system-ui, sans-serif";
      g.textAlign = "center"; g.textBaseline = "middle";
      away += bold ? g.measureText(text).width / 2 * Math.abs(dx) / far : 0;
      g.fillText(text, p[0] + away * dx / far, p[1] + away * dy / far);
    }
    // The near sides, seen from the camera, carry the ticks of x and y.
    const nearX = Math.sin(turn) > 0 ? -1 : 1;
    const nearY = Math.cos(turn) > 0 ? -1 : 1;
    const corners = [[-1, -1], [1, -1], [1, 1], [-1, 1]];
    corners.forEach((a, k) => {
      const b = corners[(k + 1) % 4];
      line(at(...a, FLOOR), at(...b, FLOOR), 0.6);
      if (a[0] === b[0] ? a[0] !== nearX : a[1] !== nearY)
        line(at(...a, HIGH), at(...b, HIGH), 0.25);
    });
    for (const t of data.xticks) {
      line(at(px(t.at), -1, FLOOR), at(px(t.at), 1, FLOOR), 0.15);
      label(t.label, at(px(t.at), nearY, FLOOR), at(px(t.at), 0, FLOOR), 16);
    }
    for (const t of data.yticks) {
      line(at(-1, py(t.at), FLOOR), at(1, py(t.at), FLOOR), 0.15);
      label(t.label, at(nearX, py(t.at), FLOOR), at(0, py(t.at), FLOOR), 16);
    }
    const middle = at(0, 0, FLOOR);
    label(data.xlabel, at(0, nearY, FLOOR), middle, 36, true);
    label(data.ylabel, at(nearX, 0, FLOOR), middle, 36, true);
    // Heights stand on the leftmost corner; far walls get their grid.
    const post = corners.reduce((a, b) =>
      at(...a, FLOOR)[0] < at(...b, FLOOR)[0] ? a : b);
    for (const c of corners)
      if (c[0] !== nearX || c[1] !== nearY)
        line(at(...c, FLOOR), at(...c, HIGH), c === post ? 0.6 : 0.25);
    for (const t of data.zticks) {
      const z = pz(t.at), far = at(-nearX, -nearY, z);
      line(at(-nearX, nearY, z), far, 0.15);
      line(at(nearX, -nearY, z), far, 0.15);
      const p = at(...post, z);
      g.textAlign = "right"; g.textBaseline = "middle";
      g.font = "12px system-ui, sans-serif"; g.fillStyle = style.color;
      g.fillText(t.label, p[0] - 8, p[1]);
    }
    const top = at(...post, HIGH);
    g.font = "600 13px system-ui, sans-serif"; g.textAlign = "center";
    g.fillText(data.zlabel, top[0], top[1] - 16);
  }

  function drawPart(part, lying, size) {
    if (!part.count) return;
    gl.bindBuffer(gl.ARRAY_BUFFER, part.buffer);
    ["at", "slope"].forEach((name, k) => {
      const where = gl.getAttribLocation(program, name);
      gl.enableVertexAttribArray(where);
      gl.vertexAttribPointer(where, 3, gl.FLOAT, false, 24, 12 * k);
    });
    set("lying", lying);
    set("size", size);
    gl.drawArrays(size ? gl.POINTS : gl.TRIANGLES, 0, part.count);
  }
  let ratio = 1, wanted = false;
  function draw() {
    wanted = false;
    ratio = window.devicePixelRatio || 1;
    for (const c of [canvas, back]) {
      const w = Math.round(c.clientWidth * ratio);
      const t = Math.round(c.clientHeight * ratio);
      if (c.width !== w || c.height !== t) { c.width = w; c.height = t; }
    }
    const { rows, away } = camera();
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.uniformMatrix4fv(place("view"), false, [0, 1, 2, 3].flatMap(k =>
      rows.map(row => row[k])));
    const eye = away.map(v => -v), side = [Math.cos(turn), -Math.sin(turn), 0];
    const light = [0, 1, 2].map(k => 0.5 * eye[k] - 0.5 * side[k] +
      (k === 2 ? 0.9 : 0)), size = Math.hypot(...light);
    set("light", ...light.map(v => v / size));
    set("eye", ...eye);
    set("ink", 0.05, 0.05, 0.05);
    drawPart(surface, 1, 0);
    drawPart(surface, 0, 0);
    drawPart(path, 0, 5 * ratio);
    drawAxes(rows);
  }
  function redraw() {
    if (!wanted) { wanted = true; requestAnimationFrame(draw); }
  }

  // The node under the pointer that is nearest to the camera.
  function pick(mx, my) {
    const { rows } = camera();
    let best = null, least = Infinity;
    for (let i = 0; i < ny; i++) for (let j = 0; j < nx; j++) {
      if (!solid(i, j)) continue;
      const [sx, sy, w] = project(rows, node(i, j));
      const off = Math.hypot(sx - mx, sy - my);
      if (off < 14 && w + off / 60 < least) {
        least = w + off / 60; best = { i, j, sx, sy };
      }
    }
    return best;
  }
  const short = v => String(+v.toPrecision(4));
  function hover(event) {
    const box = back.getBoundingClientRect();
    const p = pick(event.clientX - box.left, event.clientY - box.top);
    tip.hidden = dot.hidden = !p;
    if (!p) return;
    const v = data.log ? Math.pow(10, h[p.i][p.j]) : h[p.i][p.j];
    tip.textContent = `${data.xlabel} ${short(x[p.j])}, ` +
      `${data.ylabel} ${short(y[p.i])}, ${data.zlabel} ${short(v)}`;
    for (const e of [tip, dot]) {
      e.style.left = p.sx + "px"; e.style.top = p.sy + "px";
    }
    tip.classList.toggle("left", p.sx > box.width / 2);
  }

  // Drag turns, two fingers or the wheel zoom, arrows turn, +/- zoom.
  const fingers = new Map();
  const clamp = (v, lo, hi) => Math.max(lo, Math.min(hi, v));
  function move(dx, dy, factor) {
    turn += dx * 0.01;
    tilt = clamp(tilt + dy * 0.01, -0.3, Math.PI / 2);
    zoom = clamp(zoom * factor, 0.4, 8);
    tip.hidden = dot.hidden = true;
    redraw();
  }
  const spread = () => {
    const [a, b] = [...fingers.values()];
    return Math.hypot(a[0] - b[0], a[1] - b[1]) || 1;
  };
  canvas.addEventListener("pointerdown", e => {
    fingers.set(e.pointerId, [e.clientX, e.clientY]);
    try { canvas.setPointerCapture(e.pointerId); } catch (_) { /* synthetic */ }
    canvas.focus();
  });
  canvas.addEventListener("pointermove", e => {
    const last = fingers.get(e.pointerId);
    if (!last) return hover(e);
    const before = fingers.size === 2 ? spread() : 1;
    fingers.set(e.pointerId, [e.clientX, e.clientY]);
    if (fingers.size === 2) move(0, 0, spread() / before);
    else move(e.clientX - last[0], e.clientY - last[1], 1);
  });
  for (const name of ["pointerup", "pointercancel"])
    canvas.addEventListener(name, e => fingers.delete(e.pointerId));
  canvas.addEventListener("pointerleave", () => {
    tip.hidden = dot.hidden = true;
  });
  canvas.addEventListener("wheel", e => {
    e.preventDefault();
    move(0, 0, Math.exp(-e.deltaY * 0.001));
  }, { passive: false });
  canvas.addEventListener("dblclick", () => {
    [turn, tilt, zoom] = HOME;
    move(0, 0, 1);
  });
  const KEYS = { ArrowLeft: [-8, 0, 1], ArrowRight: [8, 0, 1],
    ArrowUp: [0, -8, 1], ArrowDown: [0, 8, 1], "+": [0, 0, 1.1],
    "=": [0, 0, 1.1], "-": [0, 0, 1 / 1.1] };
  canvas.addEventListener("keydown", e => {
    if (!KEYS[e.key]) return;
    e.preventDefault();
    move(...KEYS[e.key]);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  new ResizeObserver(redraw).observe(host);
  redraw();
}
]==]
