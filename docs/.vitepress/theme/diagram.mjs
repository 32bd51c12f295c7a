import { useData, withBase } from 'vitepress';
import { defineComponent, h, onMounted, ref, watch } from 'vue';

let count = 0;
let loaded;

/** Loads the script once. It is large, and few pages have diagrams. */
function loadMermaid() {
  loaded ??= new Promise((resolve, reject) => {
    const { document } = globalThis;
    const script = document.createElement('script');
    script.src = withBase('/mermaid.tiny.js');
    script.addEventListener('load', () => resolve(globalThis.mermaid));
    script.addEventListener('error', () => reject(new Error('The script for diagrams did not load')));
    document.head.append(script);
  });
  return loaded;
}

/** A diagram of Mermaid, drawn in the browser. Without JavaScript its text is there. */
export const Diagram = defineComponent({
  // Encoded, because quotes and brackets mean other things in a template.
  props: { code: { type: String, required: true } },
  setup(props) {
    const { isDark } = useData();
    const text = decodeURIComponent(props.code);
    const svg = ref('');
    const draw = async () => {
      const mermaid = await loadMermaid();
      mermaid.initialize({ startOnLoad: false, securityLevel: 'strict', theme: isDark.value ? 'dark' : 'neutral' });
      svg.value = (await mermaid.render(`diagram-${count++}`, text)).svg;
    };
    onMounted(() => {
      void draw();
      watch(isDark, draw);
    });
    return () =>
      svg.value === '' ? h('pre', { class: 'diagram' }, text) : h('div', { class: 'diagram', innerHTML: svg.value });
  },
});
