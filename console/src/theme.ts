import { useEffect, useState } from 'preact/hooks';

export type Theme = 'dark' | 'light';

const key = 'baton-theme';
const system = matchMedia('(prefers-color-scheme: light)');

function chosen(): Theme | undefined {
  const stored = localStorage.getItem(key);
  return stored === 'dark' || stored === 'light' ? stored : undefined;
}

/** Called before anything is drawn, so that no wrong colour flashes. */
export function applyTheme(): Theme {
  const theme = chosen() ?? (system.matches ? 'light' : 'dark');
  document.documentElement.dataset['theme'] = theme;
  return theme;
}

/** The system's, until somebody chooses. */
export function useTheme(): [Theme, () => void] {
  const [theme, setTheme] = useState(applyTheme);
  useEffect(() => {
    const follow = (): void => setTheme(applyTheme());
    system.addEventListener('change', follow);
    return () => system.removeEventListener('change', follow);
  }, []);
  const toggle = (): void => {
    localStorage.setItem(key, theme === 'dark' ? 'light' : 'dark');
    setTheme(applyTheme());
  };
  return [theme, toggle];
}
