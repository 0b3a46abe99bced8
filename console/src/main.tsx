import { render } from 'preact';
import { App } from './app.tsx';
import { followFleet } from './fleet-client.ts';
import { FleetModel } from './fleet-model.ts';
import './style.css';
import { applyTheme } from './theme.ts';

applyTheme();
const model = new FleetModel();
render(<App model={model} />, document.getElementById('app') as HTMLElement);
void followFleet(model);
