// The bot that discord.js's ShardingManager starts once for each shard, against the simulated Discord.
import process from 'node:process';
import { Client, GatewayIntentBits } from 'discord.js';

const client = new Client({ intents: [GatewayIntentBits.Guilds], rest: { api: process.env.SIMULATED_API } });
await client.login(process.env.DISCORD_TOKEN);
