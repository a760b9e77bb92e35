import { s } from "./dom.js";

const WIDTH = 280, HEIGHT = 66, WINDOW_MS = 600000;

/** Lines over the last ten minutes; what is 0, or was not measured, is drawn as such. */
export function spark(lines, classes, withArea) {
  const now = Date.now();
  const most = Math.max(1e-9, ...lines.flat().map(([, value]) => value ?? 0));
  const x = (at) => WIDTH - ((now - at) / WINDOW_MS) * WIDTH, y = (value) => HEIGHT - 2 - (value / most) * (HEIGHT - 8);
  const parts = lines.flatMap((points, index) => {
    let path = "", before = null;
    for (const [at, value] of points) {
      if (value === null || value === undefined) continue;
      const gap = before !== null && at - before > 6000;
      if (withArea) {
        path += before === null ? `M${x(at).toFixed(1)} ${y(0)}L` : gap ? `L${x(before + 5000).toFixed(1)} ${y(0)}L${x(at).toFixed(1)} ${y(0)}L` : "L";
      } else path += before === null || gap ? `M${x(at).toFixed(1)} ${y(value).toFixed(1)}h1L` : "L";
      path += `${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
      before = at;
    }
    if (withArea && before !== null && now - before > 6000) path += `L${x(before + 5000).toFixed(1)} ${y(0)}`;
    if (!path) return [];
    const end = before === null ? WIDTH : Math.min(WIDTH, x(before));
    return [withArea ? s("path", { d: `${path}L${end} ${HEIGHT}L0 ${HEIGHT}Z`, class: "area" }) : null, s("path", { d: path, class: classes[index] })];
  });
  return s("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...parts);
}
